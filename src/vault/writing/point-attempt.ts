import type { FullReadReason } from '../../disk/change-set.ts';
import { isFault, type Fault } from '../../kernel/fault.ts';
import { DiskStorer } from './disk-storer.ts';
import { MapTree, type MapRoot } from '../maps/map-tree.ts';
import { MetadataWriter } from '../maps/metadata-writer.ts';
import type { NewestPoint } from '../points/newest-point.ts';
import type { PackAssembly } from './assembly/pack-assembly.ts';
import { mapRoot, type StoredDisk } from '../points/point-maps.ts';
import type { PointDocument } from '../points/point-object.ts';
import type { StoredPoint } from '../points/point-store.ts';
import { BuiltOn } from '../maps/built-on.ts';
import type { PointDisk } from '../points/recovery-point.ts';
import type { Healing } from './healing.ts';
import { SlotBitmap } from '../slots/used-slots.ts';
import { trustedSource } from './trusted-changes.ts';
import type { DiskSource } from './new-point.ts';
import type { Running } from '../../kernel/progress.ts';
import type { WriterParts } from './writer-parts.ts';

/** What the disks of a point build on. */
export type Basis = 'parent' | 'other-parent' | 'nothing';

/** What was found at W0. */
export interface AttemptBasis extends NewestPoint {
  readonly healing?: Healing;
}

/** The disks of a point as stored in one attempt; after a conflict another attempt begins. */
export class PointAttempt {
  readonly parent: StoredPoint | undefined;
  readonly reachedMs: number;
  readonly healing: Healing | undefined;
  readonly metadata: MetadataWriter;
  /** Slots of data packs that were not inherited. */
  readonly used = new SlotBitmap();
  readonly builtOn = new BuiltOn();
  readonly disks: StoredDisk[] = [];
  readonly #parts: WriterParts;
  readonly #assembly: PackAssembly;
  readonly #stop: AbortSignal;

  constructor(
    parts: WriterParts,
    assembly: PackAssembly,
    { parent, reachedMs, healing }: AttemptBasis,
    stop: AbortSignal,
  ) {
    this.#parts = parts;
    this.#assembly = assembly;
    this.parent = parent;
    this.reachedMs = reachedMs;
    this.healing = healing;
    this.#stop = stop;
    this.metadata = new MetadataWriter(parts.nodes, parts.clock);
  }

  get roots(): MapRoot[] {
    return this.disks.map(({ root }) => root);
  }

  /**
   * Stores a disk on top of the parent's. If the parent turns out damaged, or this machine may not
   * read it, the disk is read whole: a damaged point must not keep later ones from being whole.
   */
  async store(source: DiskSource, running: Running, basis: Basis): Promise<PointDisk> {
    const stored = await this.#onBasis(source, running, basis);
    this.disks.push(stored);
    return stored.disk;
  }

  async #onBasis(source: DiskSource, running: Running, basis: Basis): Promise<StoredDisk> {
    if (basis === 'nothing') {
      return this.#storeAnew(source, 'parent-damaged', running);
    }
    const last = this.#lastMap(source.diskId);
    const afresh = basis === 'other-parent';
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
        pointId: this.parent?.point.id,
        diskId: source.diskId,
      });
      return this.#storeAnew(source, reason, running);
    }
  }

  async #storeAnew(
    source: DiskSource,
    reason: 'parent-damaged' | 'parent-unreadable',
    running: Running,
  ): Promise<StoredDisk> {
    const changes = { method: 'full', reason } as const;
    return this.#storeOn(undefined, { ...source, changes }, running, true);
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
    const signal = AbortSignal.any([running.signal, this.#stop]);
    const storer = new DiskStorer(
      {
        pool,
        index,
        assembly: this.#assembly,
        inputs,
        excluded: excluded.all,
        used: this.used,
        map: { nodes, metadata: this.metadata, builtOn: this.builtOn },
        ...(this.healing === undefined ? {} : { healing: this.healing }),
      },
      {
        source,
        incremental,
        ...(last === undefined ? {} : { last }),
        lastContentBytes: this.#lastDisk(source.diskId)?.statistics.contentBytes,
      },
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

  #lastDisk(diskId: string): PointDocument['disks'][number] | undefined {
    return this.parent?.document.disks.find((other) => other.diskId === diskId);
  }

  #lastMap(diskId: string): MapTree | undefined {
    const disk = this.#lastDisk(diskId);
    return disk && new MapTree(this.#parts.nodes, mapRoot(disk, this.#parts.nodes.base.numbers));
  }
}

/** Whether the error means that the parent's disk cannot be used. */
function isParentLost({ kind, code }: Fault): boolean {
  return kind === 'integrity' || code === 'store.denied';
}

/** Returns why the whole disk was read, whether or not only its changes were asked for. */
function fullReason(source: DiskSource, hasMap: boolean): FullReadReason {
  if (source.changes.method === 'full') {
    return source.changes.reason;
  }
  return hasMap ? 'change-log-gap' : 'first-backup';
}
