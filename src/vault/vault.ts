import type { DiskReader } from '../disk/disk-reader.ts';
import type { DiskWriter } from '../disk/disk-writer.ts';
import { SystemClock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { SilentLog } from '../kernel/log.ts';
import { retirePoints } from './retention/retiring.ts';
import { DedupIndex } from './index/dedup-index.ts';
import { ExcludedSlots } from './points/excluded-slots.ts';
import { FooterCache } from './packs/footer-cache.ts';
import { refuseReadOnly } from './control/format-object.ts';
import { FrameFetcher } from './tasks/frame-fetcher.ts';
import { isVmId } from './format/object-names.ts';
import { passingServiceId } from './format/record-names.ts';
import { MapNodes, MapTree } from './maps/map-tree.ts';
import type { ObjectStore } from './store/object-store.ts';
import { SpareBuffers, SpareInputs } from './tasks/pack-buffer.ts';
import { PackNumbers } from './packs/pack-numbers.ts';
import { Packs } from './packs/packs.ts';
import { packSecrets } from './packs/pack-tail.ts';
import type { Capabilities } from './probe/capabilities.ts';
import { newestCapabilities, putCapabilities } from './probe/probe-object.ts';
import { probeStore, type ProbeOptions } from './probe/store-probe.ts';
import { pointNamed } from './points/point-named.ts';
import { PointStore, type StoredPoint } from './points/point-store.ts';
import { mapRoot, readPointFile } from './points/point-maps.ts';
import { PointWriter } from './writing/point-writer.ts';
import { OpenedVault } from './control/opened-vault.ts';
import { PackPresence } from './presence/pack-presence.ts';
import type { RecoveryPoint } from './points/recovery-point.ts';
import { writableStore } from './access/read-back-store.ts';
import { DiskRestore, type RestoreStatistics, type Restoring } from './restoring/disk-restore.ts';
import { chunkingSecrets, unlockVault } from './access/unlock.ts';
import { createVault } from './access/vault-creation.ts';
import { VaultDisk } from './restoring/vault-disk.ts';
import type { VaultInside, VaultParts } from './vault-inside.ts';
import type { CreateOptions, OpenOptions } from './access/vault-options.ts';
import type { NewPoint } from './writing/new-point.ts';
import type { Running } from '../kernel/progress.ts';
import type { VaultUnlock } from './keys/vault-unlock.ts';
import type { VerifyLevel, VerifyReport } from './checks/verify-report.ts';
import { Verification } from './checks/verification.ts';
import { InlinePool } from './tasks/inline-pool.ts';
import { WorkerPool } from './tasks/worker-pool.ts';

export type { PointWriter } from './writing/point-writer.ts';

const WORKERS = 2;

/**
 * A vault with recovery points. Everything is in the object store, encrypted; this object only has
 * the keys and caches. Several may work on one store at once.
 */
export class Vault {
  readonly id: string;
  readonly name: string;
  readonly #parts: VaultParts;
  readonly #packs: Packs;
  readonly #nodes: MapNodes;
  readonly #points: PointStore;
  readonly #excluded: ExcludedSlots;
  readonly #presence: PackPresence;
  readonly #index: DedupIndex;
  readonly #writing = new Set<string>();
  readonly #spare = new SpareBuffers();
  readonly #inputs = new SpareInputs();
  readonly #stop = new AbortController();

  private constructor(parts: VaultParts) {
    const { base, format, cache, log } = parts;
    this.id = format.vaultId;
    this.name = format.name;
    this.#parts = parts;
    this.#packs = new Packs(base, cache);
    this.#nodes = new MapNodes(base, this.#packs);
    this.#presence = new PackPresence(this.#packs, parts.clock);
    this.#points = new PointStore(base, log, parts.opened);
    this.#excluded = new ExcludedSlots(base, log, cache);
    this.#index = new DedupIndex(base, this.#packs, cache, parts.indexEntries);
    const { signal } = this.#stop;
    parts.pool.onNeed(async (pack) => this.#index.bring(pack, signal));
  }

  /**
   * Makes a vault in an empty place. When it returns, passphrase and recovery file have both been
   * tested. The recovery file is returned only this once.
   * @throws Fault `vault.not-empty`, `vault.weak-passphrase`
   */
  static async create(
    store: ObjectStore,
    options: CreateOptions,
    signal: AbortSignal,
  ): Promise<{ vault: Vault; recoveryFile: string; capabilities?: Capabilities }> {
    const clock = options.clock ?? new SystemClock();
    const created = await createVault(store, options, clock, signal);
    const { keyring, seed, recoveryFile, capabilities } = created;
    const retention = seed && ({ kind: 'master-key', key: seed } as const);
    const vault = await Vault.open(
      store,
      { kind: 'master-key', key: keyring },
      { ...options, ...(retention && { retention }) },
      signal,
    );
    return { vault, recoveryFile, ...(capabilities && { capabilities }) };
  }

  /**
   * @throws Fault `vault.not-found`, `vault.wrong-passphrase`, `vault.key-corrupt`,
   *   `vault.format-corrupt`, `vault.format-newer`
   */
  static async open(
    plainStore: ObjectStore,
    unlock: VaultUnlock,
    options: OpenOptions,
    signal: AbortSignal,
  ): Promise<Vault> {
    const { workers = WORKERS } = options;
    const pool = workers === 0 ? new InlinePool() : new WorkerPool(workers);
    if (options.warm === true) {
      pool.warm();
    }
    const unlocks = { vault: unlock, ...(options.retention && { retention: options.retention }) };
    const unlocked = await unlockVault(plainStore, unlocks, signal).catch(
      async (error: unknown) => {
        await pool.close();
        throw error;
      },
    );
    pool.arm(chunkingSecrets(unlocked));
    const { keys, format, formatKey } = unlocked;
    const clock = options.clock ?? new SystemClock();
    const secrets = packSecrets(keys, format);
    const store = writableStore(plainStore, format, clock, secrets);
    const cache =
      options.cacheFolder &&
      (await FooterCache.open(options.cacheFolder, format.vaultId, {
        place: plainStore.identity,
        ...(options.log === undefined ? {} : { log: options.log }),
      }));
    return new Vault({
      base: { store, ...secrets, numbers: new PackNumbers() },
      opened: new OpenedVault(store, { vaultId: keys.vaultId, name: format.name, formatKey }),
      format,
      pool,
      clock,
      log: options.log ?? new SilentLog(),
      reader: options.reader ?? { service: passingServiceId(), name: 'a host' },
      ...(cache ? { cache } : {}),
      ...(options.indexEntries === undefined ? {} : { indexEntries: options.indexEntries }),
    });
  }

  /** True once the vault turned out to differ from what its store holds now: open it again. */
  get isOutdated(): boolean {
    return this.#parts.opened.isOutdated;
  }

  get inside(): VaultInside {
    return {
      ...this.#parts,
      packs: this.#packs,
      nodes: this.#nodes,
      points: this.#points,
      excluded: this.#excluded,
    };
  }

  /**
   * Returns the master keys, which open the vault without the passphrase. The caller keeps them
   * safe.
   */
  exportKey(): Uint8Array {
    return Uint8Array.from(this.#parts.base.keys.keyring);
  }

  /** Returns what the store was last seen to do; undefined if nobody tried. */
  async capabilities(signal: AbortSignal): Promise<Capabilities | undefined> {
    return newestCapabilities(this.#parts.base, signal);
  }

  /** Tries what the store can do, and keeps the result with the vault. */
  async probe(options: Omit<ProbeOptions, 'clock'>, signal: AbortSignal): Promise<Capabilities> {
    const { base, clock } = this.#parts;
    const capabilities = await probeStore(base.store, { ...options, clock }, signal);
    await putCapabilities(base, capabilities, signal);
    return capabilities;
  }

  /**
   * Lists sealed points that were not retired, oldest content first. Damaged ones are logged and
   * left out.
   */
  async points(signal: AbortSignal, vmId?: string): Promise<RecoveryPoint[]> {
    return vmId !== undefined && !isVmId(vmId) ? [] : this.#points.list(signal, vmId);
  }

  /**
   * Returns a point by its id, or by the beginning of it if no other id begins so.
   * @throws Fault `vault.point-not-found`, `vault.point-corrupt`
   */
  async point(idOrPrefix: string, signal: AbortSignal): Promise<RecoveryPoint> {
    return (await this.#find(idOrPrefix, signal)).point;
  }

  /** Lists the VMs that have points, by their newest names. */
  async vms(signal: AbortSignal): Promise<{ vmId: string; vmName: string }[]> {
    const names = new Map<string, string>();
    for (const { vmId, vmName } of await this.points(signal)) {
      names.set(vmId, vmName);
    }
    return [...names].map(([vmId, vmName]) => ({ vmId, vmName }));
  }

  /**
   * Begins a recovery point (W0). The writer must be disposed of, even after a commit.
   * @throws Fault `vault.not-found`, `vault.format-changed` if the store does not hold what was
   *   opened, `vault.vm-busy` if this process is already writing a point of the VM,
   *   `vault.format-newer` if this program may only read the vault
   */
  async beginPoint(
    { vmId, vmName, compressionLevel: level }: NewPoint,
    signal: AbortSignal,
  ): Promise<PointWriter> {
    if (!isVmId(vmId)) {
      throw new Fault('request.invalid', `Not an id of a VM: ${vmId.slice(0, 64)}`);
    }
    refuseReadOnly(this.#parts.format);
    if (this.#writing.has(vmId)) {
      throw new Fault(
        'vault.vm-busy',
        `A backup of ${vmName} is running already. Wait for it, or cancel it.`,
        { vmId },
      );
    }
    this.#writing.add(vmId);
    const { opened, pool, clock, log, cache, format } = this.#parts;
    pool.warm();
    try {
      return await PointWriter.begin(
        {
          opened,
          presence: this.#presence,
          nodes: this.#nodes,
          points: this.#points,
          excluded: this.#excluded,
          index: this.#index,
          pool,
          clock,
          log,
          packBytes: format.packBytes,
          spare: this.#spare,
          inputs: this.#inputs,
          ...(level === undefined ? {} : { level }),
          ...(cache === undefined ? {} : { cache }),
        },
        { vmId, vmName },
        () => this.#writing.delete(vmId),
        signal,
      );
    } catch (error) {
      this.#writing.delete(vmId);
      throw error;
    }
  }

  /** @throws Fault `vault.point-not-found`, `vault.disk-not-found` */
  async openDisk(pointId: string, diskId: string, signal: AbortSignal): Promise<DiskReader> {
    const tree = this.#tree(await this.#find(pointId, signal), diskId, this.#nodes);
    return new VaultDisk(tree, this.#fetcher(true));
  }

  /**
   * Writes a disk of a point. Every byte is authenticated before it is written. Ranges of zeroes
   * are left out, so the target must be new. With `losses`, content that can be read nowhere is
   * noted there and stays zero; without it, that is a fault. Chunks must match their ids, unless
   * `withoutIds`.
   */
  async restoreDisk(
    disk: { pointId: string; diskId: string },
    writer: DiskWriter,
    running: Restoring & { readonly withoutIds?: boolean },
  ): Promise<RestoreStatistics> {
    const point = await this.#find(disk.pointId, running.signal);
    const tree = this.#tree(point, disk.diskId, this.#nodes);
    this.#spare.release();
    const fetcher = this.#fetcher(running.withoutIds !== true);
    return new DiskRestore(tree, fetcher, writer, running).run();
  }

  /** @throws Fault `vault.file-not-found` */
  async readFile(pointId: string, name: string, signal: AbortSignal): Promise<Uint8Array> {
    const { document } = await this.#find(pointId, signal);
    const file = document.files.find((other) => other.name === name);
    if (file === undefined) {
      throw new Fault('vault.file-not-found', `The point ${document.id} has no file ${name}.`, {
        point: document.id,
      });
    }
    return readPointFile(file, this.#nodes, signal);
  }

  /** Checks a point against the store itself, past all caches. */
  async verify(pointId: string, level: VerifyLevel, running: Running): Promise<VerifyReport> {
    const { signal } = running;
    const point = await this.#find(pointId, signal);
    const packs = new Packs(this.#parts.base);
    const nodes = new MapNodes(this.#parts.base, packs);
    const fetcher = new FrameFetcher(packs, this.#parts.pool, level === 3);
    return new Verification(fetcher, level, running).run({
      pointId: point.document.id,
      disks: point.document.disks.map(({ diskId }) => ({
        diskId,
        tree: this.#tree(point, diskId, nodes),
      })),
      files: point.document.files.map((file) => async () => readPointFile(file, nodes, signal)),
      parent: async () => this.#points.proveParent(point.document, signal),
    });
  }

  /** Gives a point up. A later collection removes its data. @throws Fault `vault.point-held` */
  async retire(pointId: string, signal: AbortSignal): Promise<void> {
    refuseReadOnly(this.#parts.format);
    const { document } = await this.#find(pointId, signal);
    await retirePoints(this.inside, [document], { signal });
  }

  /**
   * Call it when nobody uses the vault for a while: ends idle threads. The next task starts new
   * ones.
   */
  async rest(): Promise<void> {
    await this.#parts.pool.endIdle();
  }

  /** Stops the workers. Do not use writers and disks afterwards. The store stays open. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#parts.pool.close();
    await this.#index.close();
  }

  #fetcher(withIds: boolean): FrameFetcher {
    return new FrameFetcher(this.#packs, this.#parts.pool, withIds);
  }

  async #find(idOrPrefix: string, signal: AbortSignal): Promise<StoredPoint> {
    return this.#points.load(await pointNamed(this.#points, idOrPrefix, signal), signal);
  }

  #tree({ document }: StoredPoint, diskId: string, nodes: MapNodes): MapTree {
    const disk = document.disks.find((other) => other.diskId === diskId);
    if (disk === undefined) {
      throw new Fault('vault.disk-not-found', `The point ${document.id} has no disk ${diskId}.`, {
        point: document.id,
      });
    }
    return new MapTree(nodes, mapRoot(disk, this.#parts.base.numbers));
  }
}
