import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { RawImageWriter } from '../../src/formats/raw-image-writer.ts';
import { SystemClock } from '../../src/kernel/clock.ts';
import { isFault } from '../../src/kernel/fault.ts';
import { SilentLog } from '../../src/kernel/log.ts';
import { parsePackKey, pointKey, sealKey } from '../../src/vault/format/object-names.ts';
import { MapTree } from '../../src/vault/maps/map-tree.ts';
import { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import { idFunctionOf } from '../../src/vault/tasks/frame-tasks.ts';
import { mapRoot } from '../../src/vault/points/point-maps.ts';
import { PointStore } from '../../src/vault/points/point-store.ts';
import type { PointDocument } from '../../src/vault/points/point-object.ts';
import { writeDamage } from '../../src/vault/damage/damage-list.ts';
import { SlotSet } from '../../src/vault/slots/slot-set.ts';
import { newUlid } from '../../src/vault/bytes/ulid.ts';
import { chunkingSecrets } from '../../src/vault/access/unlock.ts';
import type { collectVault } from '../../src/vault/collect/collector.ts';
import type { packDamage } from '../../src/vault/copy/keyless-pack-check.ts';
import type { MemoryProofLedger } from '../../src/vault/checks/proof-ledger.ts';
import { Losses } from '../../src/vault/damage/losses.ts';
import type { scrub, scrubWithoutKey } from '../../src/vault/checks/scrub.ts';
import type { Vault } from '../../src/vault/vault.ts';
import type { VerifyLevel } from '../../src/vault/checks/verify-report.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';
import { keysOf } from '../support/vault/vault-damage.ts';
import { backUp, createVault, DISK, signal, VM } from '../support/vault/vault-lab.ts';

/** What is on trial: the real modules, or the same with one check removed. */
export interface Judges {
  readonly Vault: Pick<typeof Vault, 'open'>;
  readonly MemoryProofLedger: typeof MemoryProofLedger;
  readonly scrub: typeof scrub;
  readonly scrubWithoutKey: typeof scrubWithoutKey;
  readonly collectVault: typeof collectVault;
  readonly packDamage: typeof packDamage;
}

const SIZE = 420_000;
/** 16 KiB of the first pack that the second point no longer needs. */
const CHANGED = { offset: 40_960, length: 16_384 };

/** A vault with two points of one VM; work on clones of it. */
export class ProofLab {
  readonly store: MemoryObjectStore;
  /** An open vault on `store`: knows the keys. */
  readonly vault: Vault;
  readonly first: string;
  readonly second: string;
  /** Data pack that both points need, and the one of the second alone. */
  readonly shared: string;
  readonly own: string;
  /** Metadata pack of the second point: its map and its file. */
  readonly metadata: string;
  readonly #content: Buffer;

  private constructor(
    parts: Pick<ProofLab, 'store' | 'vault' | 'first' | 'second' | 'shared' | 'own' | 'metadata'>,
    content: Buffer,
  ) {
    this.store = parts.store;
    this.vault = parts.vault;
    this.first = parts.first;
    this.second = parts.second;
    this.shared = parts.shared;
    this.own = parts.own;
    this.metadata = parts.metadata;
    this.#content = content;
  }

  static async create(): Promise<ProofLab> {
    const store = new MemoryObjectStore();
    const parameters = { minSectors: 1, maxSectors: 4, cutBits: 1, packBytes: 1024 * 1024 };
    const { vault } = await createVault(store, { parameters });
    const disk = new MemoryDisk(SIZE);
    disk.write(0, seededBytes('proof', 120_000));
    // In a frame of its own, because a frame has at most so much, and compressible.
    disk.write(200_704, Buffer.from('words, words, words. '.repeat(9000)));
    const { id: first } = await backUp(vault, disk);
    const [shared = ''] = await keysOf(store, 'd/');
    const [old = ''] = await keysOf(store, 'm/');
    disk.write(CHANGED.offset, seededBytes('changed', CHANGED.length));
    const { id: second } = await backUp(vault, disk);
    const marked = new SlotSet();
    marked.add(newUlid(1), [{ first: 0, count: 1 }]);
    await writeDamage(vault.inside.base, marked, signal);
    const own = (await keysOf(store, 'd/')).find((key) => key !== shared) ?? '';
    const metadata = (await keysOf(store, 'm/')).find((key) => key !== old) ?? '';
    const content = Buffer.alloc(SIZE);
    await disk.reader().read(0, content, signal);
    return new ProofLab({ store, vault, first, second, shared, own, metadata }, content);
  }

  async clone(): Promise<MemoryObjectStore> {
    return cloneOf(this.store);
  }

  /** Slots of the shared pack by whether the second point needs them. */
  async slots(): Promise<{ readonly needed: number[]; readonly spare: number[] }> {
    const { inside } = this.vault;
    const { document } = await inside.points.load({ ...VM, id: this.second }, signal);
    const needed = new Set<number>();
    for (const disk of document.disks) {
      const tree = new MapTree(inside.nodes, mapRoot(disk, inside.base.numbers));
      for await (const { pack, slot } of tree.slots(signal)) {
        if (inside.base.numbers.name(pack).ulid === parsePackKey(this.shared)?.ulid) {
          needed.add(slot);
        }
      }
    }
    const name = parsePackKey(this.shared);
    const open = name && (await inside.packs.openExact(name, signal));
    const all = Array.from({ length: open?.footer.slots ?? 0 }, (_, slot) => slot);
    return { needed: [...needed], spare: all.filter((slot) => !needed.has(slot)) };
  }

  /**
   * Returns what everything that examines a vault says of the second point, in the order of
   * `COLUMNS`.
   */
  async judge(judges: Judges, store: MemoryObjectStore): Promise<readonly string[]> {
    const open = async (): Promise<Vault> =>
      judges.Vault.open(
        store,
        { kind: 'master-key', key: this.vault.exportKey() },
        { workers: 0 },
        signal,
      );
    const verify = async (level: VerifyLevel): Promise<string> =>
      said(async () => {
        const report = await (await open()).verify(this.second, level, { signal });
        const codes = [...new Set(report.problems.map(({ code }) => code))];
        return report.ok ? 'ok' : codes.join('+');
      });
    const budget = { bytes: Infinity };
    const keyless = async (): Promise<string> => {
      const ledger = new judges.MemoryProofLedger();
      const clock = new SystemClock();
      const { damaged } = await judges.scrubWithoutKey(
        store,
        { ledger, budget, clock },
        { signal },
      );
      return damaged.length > 0 ? 'found' : 'ok';
    };
    const keyed = async (): Promise<string> =>
      said(async () => {
        const ledger = new judges.MemoryProofLedger();
        const { damaged, damagedObjects } = await judges.scrub(
          (await open()).inside,
          { ledger, budget },
          { signal },
        );
        return damaged.length + damagedObjects.length > 0 ? 'found' : 'ok';
      });
    // What does not write goes first: a scrub with the key leaves a list in the vault.
    return [
      await verify(0),
      await verify(1),
      await verify(2),
      await verify(3),
      await this.#restore(await open()),
      await this.#restoreImage(await open()),
      await this.#read(await open()),
      await this.#readFile(await open()),
      await this.#restore(await open(), { withoutIds: true }),
      await this.#restore(await open(), { losses: new Losses() }),
      await this.#collected(judges, store),
      await this.#copied(judges, store),
      await keyless(),
      await keyed(),
    ];
  }

  async #restore(
    vault: Vault,
    how: { readonly withoutIds?: boolean; readonly losses?: Losses } = {},
  ): Promise<string> {
    return said(async () => {
      const disk = new MemoryDisk(SIZE);
      const place = { pointId: this.second, diskId: DISK };
      await vault.restoreDisk(place, disk.writer(), { signal, ...how });
      const content = Buffer.alloc(SIZE);
      await disk.reader().read(0, content, signal);
      return how.losses?.isEmpty === false ? 'lossy' : this.#compare(content);
    });
  }

  /** To a raw image, which a worker writes itself. */
  async #restoreImage(vault: Vault): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'hk-proof-'));
    try {
      const path = join(folder, 'disk.raw');
      await writeFile(path, '');
      return await said(async () => {
        await using writer = await RawImageWriter.create(path, SIZE, signal);
        const place = { pointId: this.second, diskId: DISK };
        await vault.restoreDisk(place, writer, { signal });
        return this.#compare(await readFile(path));
      });
    } finally {
      await vault.close();
      await rm(folder, { recursive: true });
    }
  }

  async #read(vault: Vault): Promise<string> {
    return said(async () => {
      const reader = await vault.openDisk(this.second, DISK, signal);
      const content = Buffer.alloc(SIZE);
      await reader.read(0, content, signal);
      return this.#compare(content);
    });
  }

  async #readFile(vault: Vault): Promise<string> {
    return said(async () => {
      const content = await vault.readFile(this.second, 'nvram', signal);
      return Buffer.from(content).equals(Buffer.from('settings')) ? 'ok' : 'WRONG';
    });
  }

  /** Restores after a collector has worked in a separate vault. */
  async #collected(judges: Judges, store: MemoryObjectStore): Promise<string> {
    return said(async () => {
      const copy = await cloneOf(store);
      const unlock = { kind: 'master-key', key: this.vault.exportKey() } as const;
      const vault = await judges.Vault.open(copy, unlock, { workers: 0 }, signal);
      await judges.collectVault(
        vault.inside,
        { youngMs: 0, mergeCount: 1000, liveShare: 0, allPointsAreListed: true },
        { signal },
      );
      return this.#restore(await judges.Vault.open(copy, unlock, { workers: 0 }, signal));
    });
  }

  async #copied(judges: Judges, store: MemoryObjectStore): Promise<string> {
    for (const key of [...(await keysOf(store, 'd/')), ...(await keysOf(store, 'm/'))]) {
      if (
        judges.packDamage(key, (await store.get(key, signal)) ?? new Uint8Array()) !== undefined
      ) {
        return 'found';
      }
    }
    return 'ok';
  }

  #compare(content: Buffer): string {
    return content.equals(this.#content) ? 'ok' : 'WRONG';
  }

  chunkId(content: Uint8Array): Buffer {
    const { base, format } = this.vault.inside;
    return idFunctionOf(chunkingSecrets({ keys: base.keys, format }))(content);
  }

  get pointObject(): string {
    return pointKey(VM.vmId, this.second);
  }

  /** Replaces the document of the second point, sealed, as a holder of the key can. */
  async forgePoint(
    store: MemoryObjectStore,
    change: (document: PointDocument) => PointDocument,
  ): Promise<void> {
    const { base, points, opened } = this.vault.inside;
    const { document } = await points.load({ ...VM, id: this.second }, signal);
    for (const key of [pointKey(VM.vmId, this.second), sealKey(VM.vmId, this.second)]) {
      await store.remove(key, signal);
    }
    const forger = new PointStore({ ...base, store }, new SilentLog(), opened);
    const changed = change(document);
    await forger.seal(changed, await forger.put(changed, signal), signal);
  }
}

export const COLUMNS = [
  'verify 0',
  'verify 1',
  'verify 2',
  'verify 3',
  'restore',
  'restore to a raw image',
  'read in place',
  'read a file',
  'restore without ids',
  'restore with losses',
  'restore after a collection',
  'check of a copy',
  'scrub without a key',
  'scrub',
] as const;

/** Returns the code of a fault; any other error is a bug. */
async function said(work: () => Promise<string>): Promise<string> {
  try {
    return await work();
  } catch (error) {
    if (isFault(error)) {
      return error.code;
    }
    throw error;
  }
}

async function cloneOf(store: MemoryObjectStore): Promise<MemoryObjectStore> {
  const copy = new MemoryObjectStore();
  for (const key of await keysOf(store, '')) {
    await copy.put(key, (await store.get(key, signal)) ?? new Uint8Array(), signal);
  }
  return copy;
}
