import { isFault } from '../../kernel/fault.ts';
import { packKey, pointKey, sealKey } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { PointName } from '../points/retirements.ts';
import type { Running } from '../../kernel/progress.ts';
import type {
  CollectOptions,
  CollectParts,
  CollectReport,
  CollectStep,
} from './collect-options.ts';
import type { ListedPack } from './rewriting/pack-listing.ts';
import type { ListedPoint } from './roots/root-points.ts';

type Growing<T> = { -readonly [K in keyof T]: T[K] };

/** Numbers of a report that grow while a collection runs. */
type Counts = Omit<
  CollectReport,
  | 'removedPoints'
  | 'givenUpPoints'
  | 'condemnedLists'
  | 'carriedOutLists'
  | 'damagedPacks'
  | 'standingPoints'
  | 'vms'
  | 'waitsUntilMs'
>;

/** Removes objects, step by step, and keeps count of what was done. */
export class CollectRecord {
  readonly counts: Growing<Counts> = {
    removedPacks: 0,
    compactedPacks: 0,
    mergedPacks: 0,
    removedBytes: 0,
    writtenBytes: 0,
    deadBytesLeft: 0,
    refusedRemovals: 0,
    noRoomToRewrite: false,
  };
  readonly damaged = new Set<ObjectKey>();
  readonly removedPoints: PointName[] = [];
  readonly #parts: CollectParts;
  readonly #options: CollectOptions;
  readonly #running: Running;

  constructor(parts: CollectParts, options: CollectOptions, running: Running) {
    this.#parts = parts;
    this.#options = options;
    this.#running = running;
  }

  async step(step: CollectStep, key?: ObjectKey): Promise<void> {
    this.#running.signal.throwIfAborted();
    await this.#options.onStep?.(step, key);
  }

  /** The seal goes first: whatever has a seal must be whole. */
  async removePoint(point: ListedPoint): Promise<void> {
    const { vmId, id } = point;
    const seal = sealKey(vmId, id);
    if (point.isSealed) {
      if (!(await this.remove(seal, 0))) {
        return;
      }
      await this.step('seal-removed', seal);
    }
    if (await this.remove(pointKey(vmId, id), point.bytes)) {
      this.removedPoints.push({ vmId, id });
      await this.step('point-removed', pointKey(vmId, id));
    }
  }

  /** Removes all objects of the pack that were listed. */
  async removePack(pack: ListedPack): Promise<void> {
    let isGone = true;
    for (const { name, size } of pack.objects) {
      const key = packKey(name);
      isGone = (await this.remove(key, size)) && isGone;
      await this.step('pack-removed', key);
    }
    this.counts.removedPacks += isGone ? 1 : 0;
  }

  /**
   * @returns false if the store keeps the object: it is under lock, or this machine must not remove
   * it
   */
  async remove(key: ObjectKey, bytes: number): Promise<boolean> {
    try {
      await this.#parts.base.store.remove(key, this.#running.signal);
    } catch (error) {
      if (!isFault(error, 'store.denied')) {
        throw error;
      }
      // Nothing depends on it being gone; a later collection tries again.
      this.counts.refusedRemovals += 1;
      return false;
    }
    this.counts.removedBytes += bytes;
    await this.#parts.cache?.remove(key);
    return true;
  }
}
