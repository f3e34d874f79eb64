import { Fault } from '../kernel/fault.ts';
import { abortable } from '../kernel/waiting/abortable.ts';

/** What to do with a guest whose file systems are not frozen in time. */
export type LateGuests = 'crash-consistent' | 'fail';

export interface MeetingRules {
  /** How long guests may take to freeze, from when all VMs are prepared. */
  readonly withinMs: number;
  readonly late: LateGuests;
}

/** What an engine needs beyond the limit to say that the limit has passed. */
const GRACE_MS = 500;

/**
 * The moment that the freezes of several VMs have in common: none begins before all may, nobody
 * freezes its guest before all are prepared, nobody's disks are frozen before all guests are frozen
 * or late, and nobody waits longer than the limit with a frozen guest. If one fails, all do.
 */
export class FreezeMeeting {
  readonly rules: MeetingRules;
  private readonly members: number;
  private readonly allReady = Promise.withResolvers<undefined>();
  private readonly allPrepared = Promise.withResolvers<undefined>();
  private readonly allFrozen = Promise.withResolvers<undefined>();
  private ready = 0;
  private prepared = 0;
  private frozen = 0;
  private startedMs = 0;
  private timer: NodeJS.Timeout | undefined;

  /** @param members how many VMs meet */
  constructor(members: number, rules: MeetingRules) {
    this.members = members;
    this.rules = rules;
    for (const { promise } of [this.allReady, this.allPrepared, this.allFrozen]) {
      // Whoever waits gets it; nobody may be waiting.
      promise.catch(() => undefined);
    }
  }

  /** How much is left of the time that guests have. */
  get leftMs(): number {
    return Math.max(0, this.startedMs + this.rules.withinMs - performance.now());
  }

  /**
   * Says that a VM may be frozen as soon as the others may, and waits for them. Before its engine
   * begins, because that lets nobody else act on the VM.
   * @throws why another one failed
   */
  async whenReady(signal: AbortSignal): Promise<void> {
    this.ready += 1;
    if (this.ready === this.members) {
      this.allReady.resolve(undefined);
    }
    await abortable(this.allReady.promise, signal);
  }

  /** Says that a VM is prepared, and waits for the others. @throws why another one failed */
  async whenPrepared(signal: AbortSignal): Promise<void> {
    this.prepared += 1;
    if (this.prepared === this.members) {
      this.startedMs = performance.now();
      this.timer = setTimeout(() => {
        this.allFrozen.resolve(undefined);
      }, this.rules.withinMs + GRACE_MS);
      this.allPrepared.resolve(undefined);
    }
    await abortable(this.allPrepared.promise, signal);
  }

  /**
   * Says that the guest of a VM is frozen, or why not, and waits for the others until the limit.
   * @param whyLate undefined also for a guest that nobody wanted to freeze
   * @throws why another one failed; Fault `backup.group-late`, if no guest may be late
   */
  async whenFrozen(
    vmName: string,
    whyLate: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    if (whyLate !== undefined && this.rules.late === 'fail') {
      this.fail(
        new Fault(
          'backup.group-late',
          `The file systems of ${vmName} were not frozen in ${String(this.rules.withinMs)} ms: ${whyLate}`,
          { vmName },
        ),
      );
    }
    this.frozen += 1;
    if (this.frozen === this.members) {
      this.allFrozen.resolve(undefined);
    }
    try {
      await abortable(this.allFrozen.promise, signal);
    } finally {
      clearTimeout(this.timer);
    }
  }

  /** Lets everybody go home who waits or comes. */
  fail(error: unknown): void {
    clearTimeout(this.timer);
    this.allReady.reject(error);
    this.allPrepared.reject(error);
    this.allFrozen.reject(error);
  }
}
