import fc from 'fast-check';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { Draw } from '../../../test/support/draw.ts';
import { FaultyObjectStore } from '../../../test/support/vault/faulty-object-store.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { encodeControl } from '../control/control-object.ts';
import {
  numberedKey,
  parsePackKey,
  parsePointKey,
  pointKey,
  PREFIXES,
} from '../format/object-names.ts';
import type { ObjectEntry, ObjectPart, ObjectRange } from '../store/object-store.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { mapRoot } from '../points/point-maps.ts';
import { MapTree } from '../maps/map-tree.ts';
import { SlotSet } from '../slots/slot-set.ts';
import type { Vault } from '../vault.ts';
import { VaultCopy } from './vault-copy.ts';

const clock = new SystemClock();
const SIZE = 300_000;
const PAGE_ENTRIES = 3;
/** Schedules of what happens meanwhile; others in each run. */
const RUNS = 20;
const { seed } = new Draw('copy races');

/** Something happens in the vault before some of the requests; lists come in pages. */
class EventfulStore extends FaultyObjectStore {
  readonly #inner: MemoryObjectStore;
  readonly #before: () => Promise<void>;
  #turn = Promise.resolve();

  constructor(inner: MemoryObjectStore, before: () => Promise<void>) {
    super(inner);
    this.#inner = inner;
    this.#before = before;
  }

  /** One after another, because several requests may run at once. */
  async #happens(): Promise<void> {
    this.#turn = this.#turn.then(this.#before);
    await this.#turn;
  }

  override async getRange(key: string, range: ObjectRange): Promise<ObjectPart | undefined> {
    await this.#happens();
    return this.#inner.getRange(key, range, signal);
  }

  override async *list(prefix: string): AsyncIterable<ObjectEntry> {
    let shown = '';
    for (;;) {
      await this.#happens();
      const all = await Array.fromAsync(this.#inner.list(prefix, signal));
      const page = all.filter(({ key }) => key > shown).slice(0, PAGE_ENTRIES);
      yield* page;
      shown = page.at(-1)?.key ?? '';
      if (page.length < PAGE_ENTRIES) {
        return;
      }
    }
  }
}

/** A vault whose owner backs up, retires and collects when told to. */
class Owner {
  readonly store: MemoryObjectStore;
  readonly #vault: Vault;
  readonly #disk = new MemoryDisk(SIZE);
  readonly is = new Map<string, string>();
  #writes = 0;

  private constructor(store: MemoryObjectStore, vault: Vault) {
    this.store = store;
    this.#vault = vault;
  }

  static async create(): Promise<Owner> {
    const store = new MemoryObjectStore();
    const { vault } = await createVault(store, { parameters: { packBytes: 64 * 1024 } });
    return new Owner(store, vault);
  }

  async backUp(): Promise<void> {
    const n = this.#writes++;
    this.#disk.write((n * 70_000) % 200_000, seededBytes(`write ${n}`, 90_000));
    const { id } = await backUp(this.#vault, this.#disk);
    this.is.set(id, await fingerprint(this.#disk.reader()));
  }

  async retire(): Promise<void> {
    const [oldest, ...others] = await this.#vault.points(signal);
    if (oldest !== undefined && others.length > 0) {
      await this.#vault.retire(oldest.id, signal);
      this.is.delete(oldest.id);
    }
  }

  /** Does G0 to G4 and removes dead points, while nobody else works. */
  async collect(): Promise<void> {
    const { base } = this.#vault.inside;
    const live = await livePacks(this.#vault);
    const dead = new SlotSet();
    const keys: string[] = [];
    for (const prefix of [PREFIXES.data, PREFIXES.metadata]) {
      for await (const { key } of this.store.list(prefix, signal)) {
        const ulid = parsePackKey(key)?.ulid ?? '';
        if (!live.has(ulid)) {
          dead.add(ulid, 'all');
          keys.push(key);
        }
      }
    }
    const manifest = numberedKey(PREFIXES.condemned, 1);
    await this.store.put(
      manifest,
      encodeControl(base.keys, 'condemned', manifest, dead.encode()),
      signal,
    );
    for (const key of keys) {
      await this.store.remove(key, signal);
    }
    for await (const { key } of this.store.list(PREFIXES.points, signal)) {
      const point = parsePointKey(key);
      if (point?.isSeal === false && !this.is.has(point.id)) {
        await this.store.remove(`${pointKey(point.vmId, point.id)}.ok`, signal);
        await this.store.remove(key, signal);
      }
    }
  }
}

async function livePacks(vault: Vault): Promise<Set<string>> {
  const { base, nodes, points } = vault.inside;
  const live = new Set<string>();
  for (const { id, vmId } of await vault.points(signal)) {
    const { document } = await points.load({ vmId, id }, signal);
    for (const disk of document.disks) {
      const tree = new MapTree(nodes, mapRoot(disk, base.numbers));
      for await (const { pack } of tree.slots(signal)) {
        live.add(base.numbers.name(pack).ulid);
      }
    }
    for (const { slots } of document.files) {
      slots.forEach(({ pack }) => live.add(pack.ulid));
    }
  }
  return live;
}

async function expectAllRestore(store: MemoryObjectStore, is: ReadonlyMap<string, string>) {
  const vault = await openVault(store);
  const points = await vault.points(signal);
  for (const { id } of points) {
    const back = await restored(vault, { id }, SIZE);
    // A point that the source gave up meanwhile is either whole or not shown.
    const expected = is.get(id);
    if (expected !== undefined) {
      expect(await fingerprint(back.reader())).toBe(expected);
    }
  }
  return points.map(({ id }) => id);
}

describe('a copy while others write, retire and collect', () => {
  it('has all points that were sealed when it began and are not retired when it ends, whole', async () => {
    const event = fc.record({
      before: fc.integer({ min: 1, max: 40 }),
      what: fc.constantFrom('backUp' as const, 'retire' as const, 'collect' as const),
    });
    const rounds = fc.array(fc.array(event, { maxLength: 6 }), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(rounds, async (schedule) => {
        const owner = await Owner.create();
        await owner.backUp();
        await owner.backUp();
        const target = new MemoryObjectStore();
        for (const events of schedule) {
          const left = events.map(({ before, what }) => ({ before, what }));
          const source = new EventfulStore(owner.store, async () => {
            const next = left[0];
            if (next !== undefined && --next.before === 0) {
              left.shift();
              await owner[next.what]();
            }
          });
          const before = [...owner.is.keys()];
          await new VaultCopy({ source, target, clock }).run({ signal });
          const after = owner.is;
          const there = await expectAllRestore(target, after);
          expect(there).toEqual(expect.arrayContaining(before.filter((id) => after.has(id))));
        }
      }),
      { numRuns: RUNS, seed },
    );
  });
});
