import { Fault, isFault } from '../../kernel/fault.ts';
import { newUlid, type Ulid } from '../bytes/ulid.ts';
import { RECORD_POINTS_MAX, type RecordName } from '../format/record-names.ts';
import type { PointStore } from '../points/point-store.ts';
import type { PointName } from '../points/retirements.ts';
import { isLongOver, LEASE_MS, LEASE_RENEWAL_MS } from './lease-terms.ts';
import type { LeaseParts } from './reading-leases.ts';
import { ServiceRecords } from './service-records.ts';

/** Under which name leases are taken. */
export interface ReaderIdentity {
  /** Id of the service, or of the program while it runs. */
  readonly service: string;
  /** For people: the host. */
  readonly name: string;
}

export interface ReaderParts extends LeaseParts {
  readonly points: Pick<PointStore, 'standing'>;
  readonly reader: ReaderIdentity;
}

export interface LeaseOptions {
  /** For what: `restore`, `verify`, `copy`. */
  readonly purpose: string;
  /** Called at most once: this role must not take leases, so reading goes on without. */
  readonly without?: (why: Fault) => void;
  /** True for work that does not mind: a point that was given up first is not refused then. */
  readonly mayBeRetired?: boolean;
  /** Default 5 minutes. */
  readonly renewalMs?: number;
}

/**
 * Keeps points from being given up while they are read, until it is disposed of. Never blocks and
 * never ends the reading: what it cannot write it logs.
 */
export class HeldLease implements AsyncDisposable {
  readonly #parts: ReaderParts;
  readonly #records: ServiceRecords;
  readonly #points: readonly PointName[];
  readonly #options: LeaseOptions;
  readonly #lease: Ulid;
  readonly #stop = new AbortController();
  #written: RecordName | undefined;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> = Promise.resolve();

  private constructor(parts: ReaderParts, points: readonly PointName[], options: LeaseOptions) {
    this.#parts = parts;
    this.#records = new ServiceRecords(parts.base, parts.log);
    this.#points = points;
    this.#options = options;
    this.#lease = newUlid(parts.clock.nowMs());
  }

  /**
   * Takes a lease before the first byte is read. If the role must not, reading goes on without.
   * @throws Fault `vault.point-retired` if a point was given up first
   */
  static async take(
    parts: ReaderParts,
    points: readonly PointName[],
    options: LeaseOptions,
    signal: AbortSignal,
  ): Promise<HeldLease> {
    const lease = new HeldLease(parts, points.slice(0, RECORD_POINTS_MAX), options);
    try {
      await lease.#begin(signal);
    } catch (error) {
      await lease.end();
      throw error;
    }
    return lease;
  }

  /** False if the reading goes on without a lease. */
  get isInForce(): boolean {
    return this.#written !== undefined;
  }

  async #begin(signal: AbortSignal): Promise<void> {
    if (this.#points.length === 0) {
      return;
    }
    try {
      await this.#tidy(signal);
      await this.#write(LEASE_MS, signal);
    } catch (error) {
      if (!isFault(error)) {
        throw error;
      }
      // No reading depends on a lease: a full store or a role that only reads must not prevent it.
      this.#parts.log.info('vault.read-without-lease', { code: error.code, why: error.message });
      this.#options.without?.(error);
      return;
    }
    if (this.#options.mayBeRetired !== true) {
      await this.#requireStanding(signal);
    }
    this.#schedule();
  }

  /** Whoever gives a point up from now on sees the lease; what was given up before shows here. */
  async #requireStanding(signal: AbortSignal): Promise<void> {
    for (const point of this.#points) {
      if ((await this.#parts.points.standing(point, signal)) === 'retired') {
        throw new Fault(
          'vault.point-retired',
          `The recovery point ${point.id} was given up just now, before it could be read. Nothing was read; bring it back (revive), or take another point.`,
          { point: point.id },
        );
      }
    }
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#renewing = this.#renew();
    }, this.#options.renewalMs ?? LEASE_RENEWAL_MS);
    this.#timer.unref();
  }

  async #renew(): Promise<void> {
    try {
      await this.#write(LEASE_MS, this.#stop.signal);
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        // The hour since the last renewal goes on; the next attempt is in five minutes.
        this.#parts.log.warn('vault.lease-not-renewed', { error });
      }
    }
    if (!this.#stop.signal.aborted) {
      this.#schedule();
    }
  }

  /** Writes the newest object of the lease, then removes the one before. */
  async #write(forMs: number, signal: AbortSignal): Promise<void> {
    const { clock, reader } = this.#parts;
    const atMs = clock.nowMs();
    const before = this.#written;
    const record = {
      kind: 'reading',
      atMs,
      lease: this.#lease,
      reader: `${this.#options.purpose} on ${reader.name}`.slice(0, 256),
      untilMs: atMs + forMs,
      points: this.#points.map(({ vmId, id }) => ({ vm: vmId, point: id })),
    } as const;
    this.#written = await this.#records.put(reader.service, record, signal, before?.number);
    if (before !== undefined) {
      await this.#records.remove(before, signal);
    }
  }

  /** Removes what an earlier run of this service left behind. */
  async #tidy(signal: AbortSignal): Promise<void> {
    const { clock, reader } = this.#parts;
    for (const found of await this.#records.read(signal, reader.service)) {
      if (isLongOver(found, clock.nowMs())) {
        await this.#records.remove(found.name, signal);
      }
    }
  }

  /** Ends the lease. What cannot be removed ends by itself within the hour. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stop.abort();
    await this.#renewing;
    const written = this.#written;
    this.#written = undefined;
    if (written === undefined) {
      return;
    }
    const signal = AbortSignal.timeout(END_MS);
    try {
      if (!(await this.#records.remove(written, signal))) {
        this.#written = written;
        await this.#write(0, signal);
      }
    } catch (error) {
      this.#parts.log.warn('vault.lease-not-ended', { key: written.key, error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

const END_MS = 30_000;
