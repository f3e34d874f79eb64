import fc from 'fast-check';
import { faultCode } from '../../../test/support/service/fault-code.ts';
import { packKey, type PackName } from '../format/object-names.ts';
import { encodeRunPack } from '../index/run-format.ts';
import { PackNumbers } from './pack-numbers.ts';
import { newUlid, ulidText } from '../bytes/ulid.ts';

const ulids = Array.from({ length: 3000 }, (_, index) => newUlid(index));
const name = fc.record<PackName>({
  kind: fc.constantFrom('data', 'metadata'),
  ulid: fc.constantFrom(...ulids),
  generation: fc.nat(3),
  rand: fc.nat(2 ** 31 - 1).map((number) => number.toString(16).padStart(32, 'a')),
});

const UNKNOWN = { kind: 'data', generation: 1, rand: '0'.repeat(32) } as const;

describe('PackNumbers', () => {
  it('keeps names as they were given, of two generations the later', () => {
    fc.assert(
      fc.property(fc.array(name, { maxLength: 6000, size: 'max' }), (names) => {
        const numbers = new PackNumbers();
        const expected = new Map<string, PackName>();
        for (const given of names) {
          const kept = expected.get(given.ulid);
          const isLater = given.kind === kept?.kind && given.generation > kept.generation;
          expected.set(given.ulid, kept === undefined || isLater ? given : kept);
          // A run has names of data packs as bytes.
          const isRecord = given.kind === 'data' && kept !== undefined;
          const number = isRecord ? numbers.findRecord(encodeRunPack(given)) : numbers.of(given);
          if (number === undefined) {
            throw new Error('a known pack is not found');
          }
          expect(packKey(numbers.name(number))).toBe(packKey(expected.get(given.ulid) ?? given));
          expect(numbers.find(given.ulid)).toBe(number);
        }
        for (const kept of expected.values()) {
          expect(numbers.name(numbers.of(kept))).toEqual(kept);
        }
        expect(numbers.find(newUlid(5))).toBeUndefined();
        expect(numbers.find('no ULID')).toBeUndefined();
        const unknown: PackName = { ...UNKNOWN, ulid: newUlid(5) };
        expect(numbers.findRecord(encodeRunPack(unknown))).toBeUndefined();
      }),
      { numRuns: 5 },
    );
  });

  it('has an end, which is no damage of a pack that readers could step over', () => {
    const numbers = new PackNumbers(100);
    const ulid = Buffer.alloc(16);
    const next = (index: number): number => {
      ulid.writeUInt32BE(index, 12);
      return numbers.of({ ...UNKNOWN, ulid: ulidText(ulid) });
    };
    for (let index = 0; index < 100; index++) {
      next(index);
    }

    expect(faultCode(() => next(100))).toBe('vault.limit-reached');
    expect(next(7)).toBe(7);
  });
});
