import { createHash } from 'node:crypto';
import { Fault, isFault } from '../../kernel/fault.ts';
import type { BucketFeatures } from '../store/bucket-features.ts';
import { ProvenPoints } from '../collect/roots/proven-points.ts';
import type { CollectParts } from '../collect/collect-options.ts';
import { RootMarking } from '../collect/roots/root-marking.ts';
import { parsePackKey, parsePointKey, pointKey, PREFIXES } from '../format/object-names.ts';
import { MapNodes } from '../maps/map-tree.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { PackNumbers } from '../packs/pack-numbers.ts';
import { Packs } from '../packs/packs.ts';
import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import { PointStore } from '../points/point-store.ts';
import type { Running } from '../../kernel/progress.ts';
import { FirstVersionStore, type FirstVersion } from '../store/first-versions.ts';
import { KeepLog } from './keep-log.ts';
import { DAY_MS, lockedUntilMs, ROUND_DAYS } from '../store/lock-times.ts';
import type { LockPolicy } from '../store/locking-store.ts';

const ROUND_MS = ROUND_DAYS * DAY_MS;
const REQUESTS_AT_ONCE = 8;
const BATCH = 500;
const SKEW_MS_MAX = 15 * 60_000;
const REPORTED_MAX = 1000;
/** Control objects that a vault needs for ever. */
const LASTING = [
  PREFIXES.format,
  PREFIXES.retired,
  PREFIXES.condemned,
  PREFIXES.damaged,
  PREFIXES.aliases,
  PREFIXES.holds,
];

export interface KeepOptions {
  /** Extends everything that is needed, due or not. */
  readonly everything?: boolean;
  /** Extensions per entry of the log. Default 500. */
  readonly batch?: number;
  /** Awaited after each log entry; if it throws, the run ends there, as if the process had died. */
  readonly onBatch?: () => Promise<void>;
}

export interface KeepReport {
  /** The run extended what was due in this time. */
  readonly fromMs: number;
  readonly toMs: number;
  /** How many objects are needed, and how many of them were due and extended. */
  readonly needed: number;
  readonly extended: number;
  /** Objects whose extension the store refused. */
  readonly refused: readonly ObjectKey[];
  /** Needed objects that somebody has overwritten or removed; their first versions are kept. */
  readonly tampered: readonly ObjectKey[];
  /** Some point could not be read, so everything counted as needed. */
  readonly unsure: boolean;
  readonly requests: { readonly lists: number; readonly gets: number; readonly locks: number };
}

/**
 * Extends the locks of what recovery points need: each object about once a month, at a time that
 * its name decides. If it is killed, the next run continues. It looks only at first versions, so
 * that whatever was put over them neither hides them nor is locked instead.
 * @throws Fault `vault.not-locked`, `vault.list-incomplete` if the list of points leaves some out
 */
export async function keepLocks(
  parts: CollectParts,
  options: KeepOptions,
  running: Running,
): Promise<KeepReport> {
  const { base, format } = parts;
  const { lock: policy } = format;
  const { features } = base.store;
  if (policy === undefined || features === undefined) {
    throw new Fault(
      'vault.not-locked',
      `The vault ${format.name} was not created with --lock: there are no locks to extend.`,
    );
  }
  return new Keeper(parts, { policy, features }, options, running).run();
}

class Keeper {
  readonly #parts: CollectParts;
  readonly #policy: LockPolicy;
  readonly #features: BucketFeatures;
  readonly #options: KeepOptions;
  readonly #running: Running;
  readonly #first: FirstVersionStore;
  readonly #refused: ObjectKey[] = [];
  #extended = 0;
  #locks = 0;

  constructor(
    parts: CollectParts,
    { policy, features }: { policy: LockPolicy; features: BucketFeatures },
    options: KeepOptions,
    running: Running,
  ) {
    this.#parts = parts;
    this.#policy = policy;
    this.#features = features;
    this.#options = options;
    this.#running = running;
    this.#first = new FirstVersionStore(parts.base.store);
  }

  async run(): Promise<KeepReport> {
    const { base, clock } = this.#parts;
    const { signal } = this.#running;
    await this.#refuseWrongClock();
    const toMs = clock.nowMs();
    const log = new KeepLog(base.store, base.keys);
    const doneMs = this.#options.everything === true ? undefined : await log.doneMs(signal);
    // An entry from the future is a mistake or a lie.
    const known = doneMs !== undefined && doneMs <= toMs;
    const fromMs = known ? Math.max(doneMs, toMs - ROUND_MS) : toMs - ROUND_MS;
    const { needed, unsure } = await this.#needed();
    const due = needed
      .map((version) => ({ version, dueMs: dueAfterMs(version.key, fromMs) }))
      .filter(({ dueMs }) => dueMs <= toMs)
      .sort((a, b) => a.dueMs - b.dueMs);
    const { batch: size = BATCH } = this.#options;
    for (let at = 0; at < due.length; at += size) {
      const batch = due.slice(at, at + size);
      await this.#extendAll(batch.map(({ version }) => version));
      this.#running.report?.({
        phase: 'extending locks',
        doneBytes: at + batch.length,
        totalBytes: due.length,
        counted: 'objects',
      });
      await log.write(batch.at(-1)?.dueMs ?? toMs, signal);
      await this.#options.onBatch?.();
    }
    await log.write(toMs, signal);
    const tampered = needed.filter(({ isHidden, isOverwritten }) => isHidden || isOverwritten);
    return {
      fromMs,
      toMs,
      needed: needed.length,
      extended: this.#extended,
      refused: this.#refused.slice(0, REPORTED_MAX),
      tampered: tampered.slice(0, REPORTED_MAX).map(({ key }) => key),
      unsure,
      requests: { ...this.#first.requests, locks: this.#locks },
    };
  }

  /**
   * Refuses a store with a wrong clock: locks would end at the wrong time and cannot be taken back.
   */
  async #refuseWrongClock(): Promise<void> {
    const serverMs = await this.#features.serverTimeMs(this.#running.signal);
    if (serverMs !== undefined && Math.abs(serverMs - this.#parts.clock.nowMs()) > SKEW_MS_MAX) {
      throw new Fault(
        'vault.store-unfit',
        'The clocks of the store and of this machine are more than 15 minutes apart. Nothing was locked; set the clock and repeat.',
      );
    }
  }

  async #needed(): Promise<{ needed: FirstVersion[]; unsure: boolean }> {
    const { signal } = this.#running;
    const isNeeded = await this.#liveness();
    const needed: FirstVersion[] = [];
    for (const prefix of [...LASTING, PREFIXES.data, PREFIXES.metadata, PREFIXES.points]) {
      const versions = await this.#first.versions(prefix, signal);
      needed.push(...versions.filter(({ key }) => isNeeded?.(key) ?? true));
    }
    const keys = await this.#first.versions(PREFIXES.keys, signal);
    // The lock of a removed key runs out: the keeper cannot tell whether its owner removed it.
    needed.push(...keys.filter(({ isHidden }) => !isHidden));
    return { needed, unsure: isNeeded === undefined };
  }

  /**
   * Returns a function that tells whether an object is needed; undefined if that cannot be found
   * out.
   */
  async #liveness(): Promise<((key: ObjectKey) => boolean) | undefined> {
    const parts = readingFrom(this.#parts, this.#first);
    const nodes = new MapNodes(parts.base, new Packs(parts.base, undefined, parts.log));
    try {
      const { signal } = this.#running;
      const { cache } = this.#parts;
      // An object that a list leaves out would lose its lock.
      const proven = new ProvenPoints({ ...parts, ...(cache && { cache }) }, {}, signal);
      const { marking, roots } = await new RootMarking(parts, nodes, { signal }, { proven }).mark();
      const { live } = marking;
      const points = new Set(roots.map(({ vmId, id }) => pointKey(vmId, id)));
      return (key) => {
        const pack = parsePackKey(key);
        if (pack !== undefined) {
          return !live.isEmpty(live.handle(pack.ulid));
        }
        const point = parsePointKey(key);
        return point === undefined || points.has(pointKey(point.vmId, point.id));
      };
    } catch (error) {
      if (!isFault(error) || error.kind === 'unavailable' || error.kind === 'denied') {
        throw error;
      }
      // Damage must not let locks run out, so everything counts as needed.
      this.#parts.log.error('vault.keeper-unsure', { code: error.code });
      return undefined;
    }
  }

  async #extendAll(versions: readonly FirstVersion[]): Promise<void> {
    await mapAtOnce(versions, REQUESTS_AT_ONCE, async (version) => this.#extend(version));
  }

  async #extend(version: FirstVersion): Promise<void> {
    const { signal } = this.#running;
    const { mode, days } = this.#policy;
    const lock = { mode, untilMs: lockedUntilMs(this.#parts.clock.nowMs(), days) };
    this.#locks += 1;
    try {
      await this.#features.setLock(version, lock, signal);
      this.#extended += 1;
    } catch (error) {
      if (!isFault(error) || error.kind === 'unavailable') {
        throw error;
      }
      // The report names it; the others are extended all the same.
      this.#refused.push(version.key);
    }
  }
}

/** Returns the same vault through another view of its store, without caches. */
function readingFrom(parts: CollectParts, store: ObjectStore): CollectParts {
  const base = { ...parts.base, store, numbers: new PackNumbers() };
  const { format, clock, log } = parts;
  return { base, format, clock, log, points: new PointStore(base, log) };
}

/** Returns when an object is next due: once in a round, at a time that its name decides. */
function dueAfterMs(key: ObjectKey, afterMs: number): number {
  const share = createHash('sha256').update(key).digest().readUInt32LE(0) / 2 ** 32;
  const offsetMs = Math.floor(share * ROUND_MS);
  const sinceMs = (((afterMs - offsetMs) % ROUND_MS) + ROUND_MS) % ROUND_MS;
  return afterMs + ROUND_MS - sinceMs;
}
