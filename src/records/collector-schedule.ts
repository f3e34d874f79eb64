import { isAbort } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { upkeepKey } from '../upkeep/upkeep.jobs.ts';
import type { Floors } from './floors.ts';
import type { Collecting, CollectorLook } from './collecting.ts';

export interface CollectorTimes {
  readonly lookMs: number;
  readonly pruneMs: number;
}

export interface ScheduleParts {
  readonly vaults: Pick<RegisteredVaults, 'list' | 'sync'>;
  readonly jobs: Pick<Jobs, 'start'>;
  readonly collecting: Pick<Collecting, 'look'>;
  readonly floors: Floors;
  readonly times: CollectorTimes;
  readonly log: Log;
}

/** Looks at every vault and prunes it, again and again. */
export class CollectorSchedule implements AsyncDisposable {
  readonly #parts: ScheduleParts;
  readonly #stop = new AbortController();
  readonly #looks = new Map<string, CollectorLook>();
  #timers: NodeJS.Timeout[] = [];
  #working: Promise<unknown> = Promise.resolve();

  constructor(parts: ScheduleParts) {
    this.#parts = parts;
  }

  begin(): void {
    const { lookMs, pruneMs } = this.#parts.times;
    this.#then(() => this.lookAtAll());
    this.#timers = [
      setInterval(() => {
        this.#then(() => this.lookAtAll());
      }, lookMs),
      setInterval(() => {
        this.#then(() => this.pruneAll());
      }, pruneMs),
    ];
  }

  get floors(): Floors {
    return this.#parts.floors;
  }

  /** The last look at each vault since the start. */
  get looks(): readonly CollectorLook[] {
    return [...this.#looks.values()];
  }

  /** One vault after another; what fails is tried again at the next time. */
  async lookAtAll(): Promise<void> {
    const { vaults, collecting, log } = this.#parts;
    const { signal } = this.#stop;
    for (const { id } of await vaults.list()) {
      signal.throwIfAborted();
      try {
        this.#looks.set(id, await collecting.look(id, signal));
        // For `points list`, and for the prune, which compares its lists with it.
        await vaults.sync(id, signal);
      } catch (error) {
        if (isAbort(error)) {
          throw error;
        }
        log.error('collector.look-failed', { vaultId: id, error });
      }
    }
  }

  async pruneAll(): Promise<void> {
    const { vaults, jobs, log } = this.#parts;
    for (const { id, name } of await vaults.list()) {
      try {
        const exclusiveKey = upkeepKey('prune', id, false);
        await jobs.start({
          kind: 'prune',
          subject: { vaultId: id, vaultName: name },
          parameters: { vaultId: id, limits: {}, dryRun: false, rules: {} },
          ...(exclusiveKey === undefined ? {} : { exclusiveKey }),
        });
      } catch (error) {
        log.warn('collector.not-pruned', { vaultId: id, error });
      }
    }
  }

  #then(work: () => Promise<void>): void {
    this.#working = this.#working.then(work).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) {
        this.#parts.log.error('collector.failed', { error });
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) {
      clearInterval(timer);
    }
    this.#stop.abort();
    await this.#working;
  }
}
