import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { Clock } from '../../kernel/clock.ts';
import { SilentLog } from '../../kernel/log.ts';
import { OptionalFolder } from '../../kernel/files/optional-folder.ts';
import { FaultyObjectStore } from '../../../test/support/vault/faulty-object-store.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { backUp, createVault, signal } from '../../../test/support/vault/vault-lab.ts';
import { changeObject, flip, keysOf } from '../../../test/support/vault/vault-damage.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { Packs } from '../packs/packs.ts';
import { packKey, parsePackKey } from '../format/object-names.ts';
import { collectVault } from '../collect/collector.ts';
import { DamagedSlots } from '../damage/damaged-slots.ts';
import { FolderProofLedger, MemoryProofLedger } from './proof-ledger.ts';
import { lastProven } from './last-proven.ts';
import { pointPacks } from './point-packs.ts';
import { scrub, scrubWithoutKey } from './scrub.ts';
import { scrubVault } from './scrub-vault.ts';

function ledgerIn(folder: string): FolderProofLedger {
  return new FolderProofLedger(new OptionalFolder(folder, new SilentLog()));
}

class StandingClock extends Clock {
  timeMs = 1000;

  override nowMs(): number {
    return (this.timeMs += 1);
  }

  override monotonicMs(): number {
    return 0;
  }
}

const ALL = { bytes: Infinity };

/** Makes an undamaged vault with several packs. */
async function setUp() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store, { parameters: { packBytes: 64 * 1024 } });
  const disk = new MemoryDisk(4_000_000);
  disk.write(0, seededBytes('scrub', 2_300_000));
  await backUp(vault, disk);
  const [largest = ''] = await keysOf(store, 'd/');
  disk.write(2_400_000, seededBytes('more', 200_000));
  await backUp(vault, disk);
  disk.write(3_000_000, seededBytes('last', 200_000));
  const point = await backUp(vault, disk);
  const clock = new StandingClock();
  const parts = { ...vault.inside, clock };
  const packs = [...(await keysOf(store, 'd/')), ...(await keysOf(store, 'm/'))];
  return { store, vault, disk, point, clock, parts, packs, largest };
}

describe('scrub', () => {
  it('proves every pack of a whole vault and writes nothing into it', async () => {
    const { store, parts, packs } = await setUp();
    const before = await keysOf(store, '');
    const ledger = new MemoryProofLedger();

    const report = await scrub(parts, { ledger, budget: ALL }, { signal });

    expect(report).toMatchObject({
      depth: 'ids',
      packs: packs.length,
      ended: 'all-checked',
      damaged: [],
    });
    expect(await keysOf(store, '')).toEqual(before);
    expect([...(await ledger.load()).values()].every(({ depth }) => depth === 'ids')).toBe(true);
  });

  it('keeps to its budget, takes a 30th by default, and comes round to every pack', async () => {
    const { store, parts, packs } = await setUp();
    const ledger = new MemoryProofLedger();
    const entries = await Array.fromAsync(store.list('', signal));
    const total = entries
      .filter(({ key }) => packs.includes(key))
      .reduce((sum, { size }) => sum + size, 0);
    let checked = 0;
    for (let day = 0; day < 30 && checked < packs.length; day++) {
      const report = await scrub(parts, { ledger }, { signal });
      checked += report.packs;
      expect(report.bytes).toBeLessThanOrEqual(total / 30 + 2_500_000);
    }
    expect((await ledger.load()).size).toBe(packs.length);

    const one = await scrub(parts, { ledger, budget: { requests: 1 } }, { signal });

    expect(one).toMatchObject({ packs: 1, ended: 'budget' });
  });

  it('reads every pack when all of the vault is its share', async () => {
    const { vault } = await createVault();
    const disk = new MemoryDisk(200_000);
    for (let i = 0; i < 4; i++) {
      disk.write(0, seededBytes(`point ${String(i)}`, 50_000));
      await backUp(vault, disk);
    }
    const ledger = new MemoryProofLedger();

    const report = await scrub(vault.inside, { ledger, budget: { share: 1 } }, { signal });

    expect(report).toMatchObject({ packs: 8, totalPacks: 8, ended: 'all-checked' });
  });

  it('begins with what was checked longest ago', async () => {
    const { parts, packs } = await setUp();
    const ledger = new MemoryProofLedger();
    await scrub(parts, { ledger, budget: ALL }, { signal });
    const [old = '', newer = ''] = packs;
    const proof = { bytes: 1, depth: 'ids' } as const;
    await ledger.record(
      [
        { ...proof, key: newer, checkedAtMs: 2 },
        { ...proof, key: old, checkedAtMs: 1 },
      ],
      [],
    );

    await scrub(parts, { ledger, budget: { requests: 1 } }, { signal });

    const after = await ledger.load();
    expect(after.get(old)?.checkedAtMs).toBeGreaterThan(1000);
    expect(after.get(newer)?.checkedAtMs).toBe(2);
  });

  it('writes the slots of a damaged frame down, exactly and once', async () => {
    const { store, parts, vault, largest: key } = await setUp();
    const name = parsePackKey(key);
    const pack = name && (await new Packs(parts.base).openExact(name, signal));
    const frame = pack?.footer.frames.at(-1);
    await changeObject(store, key, flip((frame?.offset ?? 0) + 100));
    const ledger = new MemoryProofLedger();

    const report = await scrub(parts, { ledger, budget: ALL }, { signal });
    const again = await scrub(parts, { ledger, budget: ALL }, { signal });

    expect(report.damaged).toMatchObject([{ key, frames: [frame?.index] }]);
    expect(report.list).toMatch(/^bad\/000001-/);
    expect(again).toMatchObject({ damaged: [{ key }] });
    expect(again.list).toBeUndefined();
    const damaged = new DamagedSlots(parts.base, vault.inside.log);
    await damaged.read(signal);
    const slots = Array.from({ length: pack?.footer.slots ?? 0 }, (_, slot) => slot);
    const hit = slots.filter((slot) => pack?.footer.frameOf[slot] === frame?.index);
    expect(hit.length).toBeLessThan(slots.length);
    expect(slots.filter((slot) => damaged.has(name?.ulid ?? '', slot))).toEqual(hit);
  });

  it('looks first at damage that it could not write down', async () => {
    const { store, parts } = await setUp();
    const key = (await keysOf(store, 'd/')).at(-1) ?? '';
    await changeObject(store, key, flip(100));
    const ledger = new MemoryProofLedger();
    const dying = new FaultyObjectStore(store, ({ kind }) => (kind === 'put' ? 'dies' : undefined));
    const base = { ...parts.base, store: dying };

    const died = scrub({ ...parts, base }, { ledger, budget: ALL }, { signal });
    await expect(died).rejects.toThrow();
    expect((await ledger.load()).has(key)).toBe(false);

    const next = await scrub(parts, { ledger, budget: { bytes: 1 } }, { signal });
    expect(next).toMatchObject({ packs: 1, damaged: [{ key }] });
    expect(next.list).toMatch(/^bad\//);
  });

  it.each<[string, number, string]>([
    ['header', 10, 'the header does not match its checksum'],
    ['prefix', 64, 'frame 0: it does not match its checksum'],
    ['frame', 200, 'frame 0: it does not match its checksum'],
    ['footer', -70, 'the footer does not match its checksum'],
    ['trailer', -1, 'the trailer does not match its checksum'],
  ])('finds a flipped %s without any key, and blames nothing else', async (_what, offset, why) => {
    const { store, clock } = await setUp();
    const [key = ''] = await keysOf(store, 'd/');
    const whole = await scrubWithoutKey(
      store,
      { ledger: new MemoryProofLedger(), budget: ALL, clock },
      { signal },
    );
    await changeObject(store, key, flip(offset));

    const report = await scrubWithoutKey(
      store,
      { ledger: new MemoryProofLedger(), budget: ALL, clock },
      { signal },
    );

    expect(whole.damaged).toEqual([]);
    expect(report.damaged).toMatchObject([{ key, why: [why] }]);
  });

  it('says when a point was last proven: the oldest proof among its packs', async () => {
    const { vault, parts, point } = await setUp();
    const ledger = new MemoryProofLedger();
    const proof = { bytes: 1, depth: 'ids' } as const;
    const { document } = await vault.inside.points.load(point, signal);
    const packs = (await pointPacks(parts, document, signal)).map(packKey);

    expect(await lastProven(vault.inside, point, await ledger.load(), signal)).toMatchObject({
      packs: packs.length,
      proven: 0,
    });
    await scrub(parts, { ledger, budget: ALL }, { signal });
    await ledger.record([{ ...proof, key: packs[1] ?? '', checkedAtMs: 7 }], []);
    expect(await lastProven(vault.inside, point, await ledger.load(), signal)).toEqual({
      packs: packs.length,
      proven: packs.length,
      damaged: 0,
      oldestMs: 7,
    });
    await ledger.record([{ ...proof, key: packs[0] ?? '', checkedAtMs: 9, damage: 'x' }], []);
    expect(await lastProven(vault.inside, point, await ledger.load(), signal)).toEqual({
      packs: packs.length,
      proven: packs.length - 1,
      damaged: 1,
    });
  });

  it('counts a merged pack as proven when the packs that have its content now are', async () => {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store);
    const disk = new MemoryDisk(1_000_000);
    let point = await backUp(vault, disk);
    for (let i = 0; i < 4; i++) {
      disk.write(i * 100_000, seededBytes(`merge ${String(i)}`, 10_000));
      point = await backUp(vault, disk);
    }
    const parts = { ...vault.inside, clock: new StandingClock() };
    const merging = { youngMs: 0, mergeCount: 4, smallPackBytes: 200_000 };
    const rules = { ...merging, allPointsAreListed: true };
    await collectVault(vault.inside, rules, { signal });
    const packs = await keysOf(store, 'd/');
    const ledger = new MemoryProofLedger();
    const proven = async () => lastProven(vault.inside, point, await ledger.load(), signal);

    expect(packs.length).toBe(1);
    expect(await proven()).toMatchObject({ proven: 0, damaged: 0 });
    await scrub(parts, { ledger, budget: ALL }, { signal });
    const proof = { bytes: 1, depth: 'ids', key: packs[0] ?? '' } as const;
    await ledger.record([{ ...proof, checkedAtMs: 7 }], []);
    const after = await proven();
    expect(after.packs).toBeGreaterThan(4);
    expect(after).toEqual({ packs: after.packs, proven: after.packs, damaged: 0, oldestMs: 7 });
    await ledger.record([{ ...proof, checkedAtMs: 9, damage: 'x' }], []);
    expect((await proven()).proven).toBeLessThan(after.packs);
    expect(await proven()).not.toHaveProperty('oldestMs');
    const missing = async () =>
      (await scrubVault(parts, { ledger, budget: ALL }, { signal })).missing;
    expect(await missing()).toBe(0);
    await store.remove(packs[0] ?? '', signal);
    expect(await missing()).toBe(4);
  });

  it('keeps what it has proven when it is stopped', async () => {
    const { parts } = await setUp();
    const ledger = new MemoryProofLedger();
    const stop = new AbortController();
    const report = (): void => {
      stop.abort();
    };

    await expect(
      scrub(parts, { ledger, budget: ALL }, { signal: stop.signal, report }),
    ).rejects.toThrow();

    expect((await ledger.load()).size).toBe(1);
  });
});

describe('FolderProofLedger', () => {
  it('keeps proofs between runs, drops what is gone, and takes a broken file for none', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hk-proofs-'));
    try {
      const key = (month: string): string =>
        `d/${month}/01JZZZZZZZZZZZZZZZZZZZZZZZ.0.${'0'.repeat(32)}`;
      const proof = { bytes: 5, checkedAtMs: 9, depth: 'frames' } as const;
      const month = '202507';
      await ledgerIn(folder).record([{ ...proof, key: key(month) }], []);
      const again = ledgerIn(folder);
      expect((await again.load()).get(key(month))).toEqual({ ...proof, key: key(month) });

      await again.record([], [key(month)]);
      expect((await again.load()).size).toBe(0);
      const [file = ''] = await readdir(join(folder, 'proofs'));
      await writeFile(join(folder, 'proofs', file), '{"not": ');
      expect((await again.load()).size).toBe(0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
