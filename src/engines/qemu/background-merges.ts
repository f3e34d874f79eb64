import type { Log } from '../../kernel/log.ts';
import type { VmId } from '../engine.ts';

/**
 * What an engine does with VMs beside the actions that it is asked for, which is mostly merging.
 * Everything may be cut off at any moment: an action that needs the VM does so, and the end of the
 * service does.
 */
export class BackgroundMerges {
  private readonly log: Log;
  private readonly controllers = new Map<VmId, AbortController>();
  private readonly works = new Set<Promise<void>>();
  /** Merges of VMs that are off. */
  private readonly stopped = new Map<VmId, Promise<void>>();
  /** VMs that were just stopped and are merged next. */
  private readonly planned = new Set<VmId>();
  /** How many actions on a VM do not wait for a merge of it. */
  private readonly urgent = new Map<VmId, number>();
  private readonly closing = new AbortController();

  constructor(log: Log) {
    this.log = log;
  }

  /** Does not fail. Ends when the work does. */
  async run(vm: VmId, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.closing.signal.aborted) {
      return;
    }
    const running = work(this.signalOf(vm)).catch((error: unknown) => {
      // The next action on the VM does the same first and reports what is wrong then.
      this.log.warn('engine.background-failed', { vmId: vm, error });
    });
    this.works.add(running);
    await running.finally(() => this.works.delete(running));
  }

  /** The same for a VM that was just stopped: it counts as being merged from now on. */
  async runForStopped(vm: VmId, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.planned.add(vm);
    await this.run(vm, work).finally(() => this.planned.delete(vm));
  }

  /** Fires when work on the VM has to make room. */
  signalOf(vm: VmId): AbortSignal {
    const controller = this.controllers.get(vm) ?? new AbortController();
    this.controllers.set(vm, controller);
    return AbortSignal.any([controller.signal, this.closing.signal]);
  }

  /** Cuts off what is being done with the VM. */
  end(vm: VmId): void {
    this.controllers.get(vm)?.abort();
    this.controllers.delete(vm);
  }

  /** Merges a VM that is off, unless an action is under way that does not wait for it. */
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

  /** Cuts off the merge of a VM that is off, and lets none begin until the action has ended. */
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

  /** The merge of the VM, which is off, that goes on now. */
  current(vm: VmId): Promise<void> | undefined {
    return this.stopped.get(vm);
  }

  /** Whether layers of the VM, which is off, are being merged or are next. */
  isMerging(vm: VmId): boolean {
    return this.planned.has(vm) || this.stopped.has(vm);
  }

  /** Cuts everything off; nothing begins any more. */
  giveUp(): void {
    this.closing.abort();
  }

  /** Cuts everything off and waits until it has ended. */
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
