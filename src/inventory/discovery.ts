import { isAbort } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import type { KnownVms } from './known-vms.ts';

const LOOK_MS = 30_000;

/** Looks at the VMs of this host again and again, until it is disposed of. */
export class Discovery implements AsyncDisposable {
  private readonly stop = new AbortController();
  private readonly vms: Pick<KnownVms, 'look'>;
  private readonly log: Log;
  private readonly everyMs: number;
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> = Promise.resolve();
  private isFailing = false;

  constructor(vms: Pick<KnownVms, 'look'>, log: Log, everyMs = LOOK_MS) {
    this.vms = vms;
    this.log = log;
    this.everyMs = everyMs;
  }

  /** Resolves after the first look, whether or not it succeeded. */
  async begin(): Promise<void> {
    await this.look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort();
    clearTimeout(this.timer);
    await this.looking;
  }

  private async look(): Promise<void> {
    this.looking = this.lookOnce();
    await this.looking;
    if (!this.stop.signal.aborted) {
      this.timer = setTimeout(() => void this.look(), this.everyMs).unref();
    }
  }

  /** An engine or database that is away is told once, and when it is back. */
  private async lookOnce(): Promise<void> {
    try {
      await this.vms.look(this.stop.signal);
    } catch (error) {
      if (!isAbort(error) && !this.isFailing) {
        this.isFailing = true;
        this.log.warn('inventory.not-looked', { error });
      }
      return;
    }
    if (this.isFailing) {
      this.isFailing = false;
      this.log.info('inventory.looks-again', {});
    }
  }
}
