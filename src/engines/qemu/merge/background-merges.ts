import type { Log } from '../../../kernel/log.ts';
import type { VmId } from '../../engine.ts';

/**
 * What an engine does with VMs without being asked, which is mostly merging. It may be cut off at
 * any moment: by an action that needs the VM, and by the end of the service.
 */
export class BackgroundMerges {
  private readonly log: Log;
  private readonly controllers = new Map<VmId, AbortController>();
  private readonly works = new Set<Promise<void>>();
  /** Merges of powered-off VMs. */
  private readonly stopped = new Map<VmId, Promise<void>>();
  /** VMs that were just stopped and are merged next. */
  private readonly planned = new Set<VmId>();
  /** How many actions on a VM do not wait for a merge of it. */
  private readonly urgent = new Map<VmId, number>();
  private readonly closing = new AbortController();

  constructor(log: Log) {
    this.log = log;
  }

  /** Runs work to its end, and never fails. */
  async run(vm: VmId, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.closing.signal.aborted) {
      return;
    }
    const running = work(this.signalOf(vm)).catch((error: unknown) => {
      // The next action on the VM repeats it first, and reports what is wrong then.
      this.log.warn('engine.background-failed', { vmId: vm, error });
    });
    this.works.add(running);
    await running.finally(() => this.works.delete(running));
  }

  /** Runs work for a VM that was just stopped, which counts as being merged from now on. */
  async runForStopped(vm: VmId, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.planned.add(vm);
    await this.run(vm, work).finally(() => this.planned.delete(vm));
  }

  /** Returns a signal that fires when work on the VM must make room. */
  signalOf(vm: VmId): AbortSignal {
    const controller = this.controllers.get(vm) ?? new AbortController();
    this.controllers.set(vm, controller);
    return AbortSignal.any([controller.signal, this.closing.signal]);
  }

  /** Cuts off the work on the VM. */
  end(vm: VmId): void {
    this.controllers.get(vm)?.abort();
    this.controllers.delete(vm);
  }

  /** Merges a powered-off VM, unless an action is running that does not wait for it. */
  async mergeStopped(vm: VmId, merge: () => Promise<void>): Promise<void> {
    if (this.urgent.has(vm)) {
      return;
    }
    const merging = merge();
    this.stopped.set(vm, merging);
    try {
      await merging;
    } finally {
      this.stopped.delete(vm);
    }
  }

  /** Cuts off the merge of a powered-off VM, and lets none begin until the action has ended. */
  async without<T>(vm: VmId, action: () => Promise<T>): Promise<T> {
    this.urgent.set(vm, (this.urgent.get(vm) ?? 0) + 1);
    if (this.stopped.has(vm)) {
      this.end(vm);
    }
    try {
      return await action();
    } finally {
      const left = (this.urgent.get(vm) ?? 1) - 1;
      if (left === 0) {
        this.urgent.delete(vm);
      } else {
        this.urgent.set(vm, left);
      }
    }
  }

  /** The running merge of a powered-off VM. */
  current(vm: VmId): Promise<void> | undefined {
    return this.stopped.get(vm);
  }

  /** Whether layers of a powered-off VM are being merged or will be next. */
  isMerging(vm: VmId): boolean {
    return this.planned.has(vm) || this.stopped.has(vm);
  }

  /** Cuts everything off; nothing begins any more. */
  giveUp(): void {
    this.closing.abort();
  }

  /** Cuts everything off and waits for its end. */
  async close(): Promise<void> {
    this.giveUp();
    await Promise.all(this.works);
  }
}

/** Waits for `work`, which goes on when the signal fires. */
export async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const give = () => {
    reject(signal.reason as Error);
  };
  signal.addEventListener('abort', give, { once: true });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', give);
  }
}
