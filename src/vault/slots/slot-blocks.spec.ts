import { randomInt } from 'node:crypto';
import { seededNumbers } from '../../../test/support/random/seeded-numbers.ts';
import { SlotBits } from './slot-bits.ts';
import { SlotBlocks } from './slot-blocks.ts';

const PACKS = 300;

describe('SlotBlocks', () => {
  const seed = randomInt(2 ** 32);

  it(`keeps the slots of each pack apart, and little room that no pack needs, seed ${seed}`, () => {
    const next = seededNumbers(seed);
    const [blocks, bits] = [new SlotBlocks(), new SlotBits()];
    const model = new Map<number, Uint16Array | 'all'>();
    for (let step = 0; step < 2500; step++) {
      const pack = next(PACKS);
      const words = Uint16Array.from({ length: 1 + next(4000) });
      // Either many slots, kept as bits, or a few ranges.
      if (next(2) === 0) {
        words.fill(0x5555 ^ (1 << next(16)));
      }
      words[next(words.length)] = 1 + next(2 ** 16 - 1);
      words[words.length - 1] = 1;
      bits.clear();
      bits.addWords(words);
      if (next(50) === 0) {
        blocks.setAll(pack);
        model.set(pack, 'all');
      } else {
        blocks.store(pack, bits);
        model.set(pack, words);
      }
    }
    let needed = 0;
    for (let pack = 0; pack < PACKS; pack++) {
      const words = model.get(pack) ?? new Uint16Array();
      bits.clear();
      blocks.load(pack, bits);
      expect(blocks.hasAll(pack)).toBe(words === 'all');
      const expected = words === 'all' ? new Uint16Array() : words;
      expect(Buffer.compare(Buffer.from(bits.words), Buffer.from(expected))).toBe(0);
      needed += expected.byteLength;
    }
    expect(blocks.bytes).toBeLessThan(needed * 1.35 + 2 ** 20);
  });
});
