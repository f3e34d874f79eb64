import assert from 'node:assert/strict';
import type { Clock } from '../kernel/clock.ts';
import { Fault, isFault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { findConflict, type Conflict } from './commit-conflict.ts';
import type { DedupIndex } from './dedup-index.ts';
import { checkFile, checkSource, refuseLongName } from './disk-source.ts';
import { DiskStorer } from './disk-storer.ts';
import type { ExcludedSlots } from './excluded-slots.ts';
import type { FooterCache } from './footer-cache.ts';
import { fittingNotes } from './fitting-notes.ts';
import { MapTree, type MapNodes } from './map-tree.ts';
import { MetadataWriter } from './metadata-writer.ts';
import { PackAssembly } from './pack-assembly.ts';
import type { SpareBuffers, SpareInputs } from './pack-buffer.ts';
import { diskDocument, fullReason, mapRoot, storeFiles, type StoredDisk } from './point-maps.ts';
import type { PointDocument } from './point-object.ts';
import type { PointStore, StoredPoint } from './point-store.ts';
import type { PointDisk, RecoveryPoint } from './recovery-point.ts';
import { Healing } from './repair/healing.ts';
import { SlotBitmap } from './slot-bitmap.ts';
import { trustedSource } from './trusted-changes.ts';
import { newUlid, ulidTimeMs, type Ulid } from './ulid.ts';
import type { DiskSource, PointFacts, Running } from './vault-options.ts';
import type { WorkerPool } from './worker-pool.ts';
import type { CompressionLevel } from './zstd.ts';

/** docs/vault-format.md, section 10. */
const CONFLICTS_MAX = 3;

/** The parts of a vault a writer works with. */
export interface WriterParts {
  readonly nodes: MapNodes;
  readonly points: PointStore;
  readonly excluded: ExcludedSlots;
  readonly index: DedupIndex;
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly log: Log;
  readonly packBytes: number;
  readonly spare: SpareBuffers;
  readonly inputs: SpareInputs;
  readonly level?: CompressionLevel;
  readonly cache?: FooterCache;
}

interface Vm {
  readonly vmId: string;
  readonly vmName: string;
}

/**
 * Writes one recovery point: W0 when it begins, W1 to W3 in `commit`. Disposing it without a commit
 * leaves packs that the next run finds again, and nothing that could be taken for a point.
 */
export class PointWriter implements AsyncDisposable {
  readonly #parts: WriterParts;
  readonly #vm: Vm;
  readonly #onEnd: () => void;
  readonly #stop = new AbortController();
  readonly #sources: DiskSource[] = [];
  readonly #files = new Map<string, Uint8Array>();
  #assembly: PackAssembly;
  #metadata: MetadataWriter;
  #healing: Healing | undefined;
  #used = new SlotBitmap();
  #disks: StoredDisk[] = [];
  #parent: StoredPoint | undefined;
  #busy = false;
  #state: 'open' | 'failed' | 'ended' = 'open';
  #clearMark: (() => Promise<void>) | undefined;

  private constructor(parts: WriterParts, vm: Vm, onEnd: () => void) {
    this.#parts = parts;
    this.#vm = vm;
    this.#onEnd = onEnd;
    this.#assembly = this.#newAssembly();
    this.#metadata = new MetadataWriter(parts.nodes, parts.clock);
  }

  /** W0. `onEnd` is called once, when the writer is disposed of. */
  static async begin(
    parts: WriterParts,
    vm: Vm,
    onEnd: () => void,
    signal: AbortSignal,
  ): Promise<PointWriter> {
    refuseLongName(vm.vmName);
    const writer = new PointWriter(parts, vm, onEnd);
    await writer.#prepare(signal);
    await parts.index.load(parts.excluded.all, signal);
    writer.#clearMark = await parts.cache?.markWriting();
    return writer;
  }

  /** The newest sealed point of this VM: what `changed-extents` must be relative to. */
  get parent(): RecoveryPoint | undefined {
    return this.#parent?.point;
  }

  /**
   * Stores one disk; one after another. If it throws, the point cannot be committed any more; what
   * was uploaded is found again by the next run.
   */
  async addDisk(source: DiskSource, running: Running): Promise<PointDisk> {
    checkSource(source, this.#sources);
    return this.#exclusively(running.signal, async () => {
      const stored = await this.#store(source, running, false);
      this.#sources.push(source);
      this.#disks.push(stored);
      return stored.disk;
    });
  }

  /** Keeps a small file with the point, at most 64 MiB. */
  async addFile(name: string, content: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assert(this.#state === 'open', 'the point was given up or committed');
    assert(!this.#files.has(name), `the file ${name} was added before`);
    checkFile(name, content, this.#files.size);
    this.#files.set(name, Uint8Array.from(content));
  }

  /**
   * W1 to W3. The sources of all disks must be readable until it returns. Only when it has returned
   * is there a recovery point.
   */
  async commit(facts: PointFacts, signal: AbortSignal): Promise<RecoveryPoint> {
    return this.#exclusively(signal, async () => {
      const notes = [...facts.notes];
      let least = 0;
      for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts++) {
        const document = await this.#document({ ...facts, notes }, least, signal);
        const object = await this.#parts.points.put(document, signal);
        const conflict = await this.#conflict(signal);
        if (conflict === 'none') {
          const stored = await this.#parts.points.seal(document, object, signal);
          this.#state = 'ended';
          await this.#clearMark?.();
          this.#clearMark = undefined;
          return stored.point;
        }
        await this.#parts.points.giveUp(document, this.#parts.clock.nowMs(), signal);
        this.#parts.log.warn('vault.commit-conflict', { pointId: document.id, conflict });
        least = ulidTimeMs(document.id) + 1;
        await this.#again(notes, signal);
      }
      throw new Fault(
        'vault.conflict',
        `The collector took away what this backup needed, ${CONFLICTS_MAX} times in a row. No recovery point was made; back up again when the collection has ended.`,
        { vmId: this.#vm.vmId },
      );
    });
  }

  /** Stops what is running and gives up what was not committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = 'ended';
    this.#stop.abort();
    await this.#assembly.abandon();
    this.#onEnd();
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    const { excluded, index, points } = this.#parts;
    await index.exclude(await excluded.readCondemned(signal), signal);
    await index.exclude(await excluded.readDamaged(signal), signal);
    if (excluded.hasDamage) {
      const { packs } = this.#parts.nodes;
      const { condemned } = excluded;
      this.#healing = await Healing.begin({ packs, condemned, log: this.#parts.log }, signal);
    }
    this.#parent = await points.newest(this.#vm.vmId, signal);
  }

  #newAssembly(): PackAssembly {
    const { nodes, index, pool, clock, packBytes, spare, level } = this.#parts;
    const { base, packs } = nodes;
    return new PackAssembly(
      {
        base,
        packs,
        index,
        pool,
        clock,
        packBytes,
        spare,
        ...(level === undefined ? {} : { level }),
      },
      this.#stop.signal,
    );
  }

  /** One operation at a time; one that fails ends the writer. */
  async #exclusively<T>(signal: AbortSignal, operation: () => Promise<T>): Promise<T> {
    assert(!this.#busy, 'one operation at a time');
    assert(this.#state === 'open', 'the point was given up or committed');
    this.#busy = true;
    // Uploads that run beside the operation stop with it.
    const stop = (): void => {
      this.#stop.abort(signal.reason);
    };
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await operation();
    } catch (error) {
      this.#state = 'failed';
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
      this.#busy = false;
    }
  }

  /**
   * Stores a disk on what the parent has of it. When that turns out damaged, the disk is read whole:
   * a damaged point must not keep later ones from being whole. The same when this machine may not
   * read what it has not written itself.
   */
  async #store(source: DiskSource, running: Running, afresh: boolean): Promise<StoredDisk> {
    const last = this.#lastMap(source.diskId);
    try {
      const parts = { ...this.#parts, last: afresh ? undefined : last };
      const trusted = await trustedSource(parts, source, running);
      return await this.#storeOn(last, trusted, running, afresh);
    } catch (error) {
      if (last === undefined || !isFault(error) || !isParentLost(error)) {
        throw error;
      }
      const reason = error.kind === 'integrity' ? 'parent-damaged' : 'parent-unreadable';
      this.#parts.log.error(`vault.${reason}`, {
        code: error.code,
        pointId: this.#parent?.point.id,
        diskId: source.diskId,
      });
      const changes = { method: 'full', reason } as const;
      return this.#storeOn(undefined, { ...source, changes }, running, true);
    }
  }

  async #storeOn(
    last: MapTree | undefined,
    source: DiskSource,
    running: Running,
    afresh: boolean,
  ): Promise<StoredDisk> {
    const { nodes, pool, index, excluded, inputs } = this.#parts;
    const incremental =
      source.changes.method === 'changed-extents' && last !== undefined && !afresh;
    const signal = AbortSignal.any([running.signal, this.#stop.signal]);
    const storer = new DiskStorer(
      {
        pool,
        index,
        assembly: this.#assembly,
        inputs,
        excluded: excluded.all,
        used: this.#used,
        map: { nodes, metadata: this.#metadata },
        ...(this.#healing === undefined ? {} : { healing: this.#healing }),
      },
      { source, incremental, ...(last === undefined ? {} : { last }) },
      { ...running, signal },
    );
    const { root, statistics } = await storer.run();
    const { diskId, name, sizeBytes, tracking } = source;
    const disk: PointDisk = {
      diskId,
      name,
      sizeBytes,
      statistics,
      ...(tracking === undefined ? {} : { tracking }),
      ...(incremental
        ? { method: 'changed-extents' }
        : { method: 'full', reason: fullReason(source, last !== undefined) }),
    };
    return { disk, root };
  }

  #lastMap(diskId: string): MapTree | undefined {
    const disk = this.#parent?.document.disks.find((other) => other.diskId === diskId);
    return disk && new MapTree(this.#parts.nodes, mapRoot(disk, this.#parts.nodes.base.numbers));
  }

  async #document(facts: PointFacts, leastMs: number, signal: AbortSignal): Promise<PointDocument> {
    await this.#assembly.flush();
    const { numbers } = this.#parts.nodes.base;
    const files = await storeFiles(this.#files, this.#metadata, numbers, signal);
    await this.#metadata.finish(signal);
    await this.#healing?.finish(signal);
    const parent = this.#parent && { id: this.#parent.point.id, mac: this.#parent.mac };
    return {
      ...this.#vm,
      id: this.#newId(leastMs),
      takenAtMs: facts.takenAtMs,
      consistency: facts.consistency,
      notes: fittingNotes(facts.notes),
      configuration: facts.configuration,
      ...(parent === undefined ? {} : { parent }),
      disks: this.#disks.map((disk) => diskDocument(disk, numbers)),
      files,
    };
  }

  /** Order is by id: after the parent and after an attempt that was given up, whatever the clock says. */
  #newId(leastMs: number): Ulid {
    const afterParent = this.#parent === undefined ? 0 : ulidTimeMs(this.#parent.point.id) + 1;
    return newUlid(Math.max(this.#parts.clock.nowMs(), afterParent, leastMs));
  }

  /** W2. */
  async #conflict(signal: AbortSignal): Promise<Conflict> {
    const { excluded, index, nodes, points } = this.#parts;
    await index.exclude(await excluded.readCondemned(signal), signal);
    const written = {
      used: this.#used,
      metadataPacks: this.#metadata.packsSent,
      roots: this.#disks.map(({ root }) => root),
      parent: this.#parent?.document,
    };
    return findConflict({ nodes, points }, excluded.condemned, written, signal);
  }

  /** Stores all disks again: what is in the vault and not condemned is not sent again. */
  async #again(notes: string[], signal: AbortSignal): Promise<void> {
    const before = this.#parent?.point.id;
    await this.#prepare(signal);
    // What changed is known relative to the old parent only.
    const afresh = this.#parent?.point.id !== before;
    if (afresh) {
      notes.push('The disks were read whole: the parent point was given up during the backup.');
    }
    this.#used = new SlotBitmap();
    this.#metadata = new MetadataWriter(this.#parts.nodes, this.#parts.clock);
    this.#disks = [];
    for (const source of this.#sources) {
      this.#disks.push(await this.#store(source, { signal }, afresh));
    }
  }
}

/** What the parent has of a disk cannot be used. */
function isParentLost({ kind, code }: Fault): boolean {
  return kind === 'integrity' || code === 'store.denied';
}
