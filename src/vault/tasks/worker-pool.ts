import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { Fault } from '../../kernel/fault.ts';
import type { ChunkingSecrets } from './store-task.ts';
import { TaskPool } from './task-pool.ts';
import type { Task, TaskResults } from './task-runner.ts';
import type { WorkerAnswer, WorkerNeed } from './vault.worker.ts';

/** Two, so that a worker finds its next task when it has finished one. */
const TASKS_PER_WORKER = 2;

interface Waiting {
  readonly task: Task;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly running: Map<number, Waiting>;
}

/**
 * Worker threads of one vault. They start with the first task or with `warm`, and keep no process
 * alive when idle.
 */
export class WorkerPool extends TaskPool {
  readonly #size: number;
  readonly #startWorker: () => Worker;
  #secrets: ChunkingSecrets | undefined;
  #bringFooter: ((pack: number) => Promise<void>) | undefined;
  readonly #queue: Waiting[] = [];
  #threads: Thread[] = [];
  #nextId = 0;
  #closed = false;

  /** @param size number of threads */
  constructor(size: number, startWorker = startVaultWorker) {
    super();
    this.#size = size;
    this.#startWorker = startWorker;
  }

  override warm(): void {
    while (this.#threads.length < this.#size) {
      this.#start();
    }
  }

  override arm(secrets: ChunkingSecrets): void {
    this.#secrets = secrets;
    for (const { worker } of this.#threads) {
      worker.postMessage(secrets);
    }
  }

  override onNeed(bringFooter: (pack: number) => Promise<void>): void {
    this.#bringFooter = bringFooter;
  }

  override get depth(): number {
    return this.#size * TASKS_PER_WORKER;
  }

  override async run<T extends Task>(task: T): Promise<TaskResults[T['kind']]> {
    assert(this.#secrets !== undefined, 'the keys come before the first task');
    return new Promise((resolve, reject) => {
      this.#queue.push({ task, resolve: resolve, reject });
      this.#dispatch();
    });
  }

  override async closeFiles(): Promise<void> {
    await Promise.all(
      this.#threads.map(
        async (thread) =>
          new Promise<void>((resolve, reject) => {
            this.#send(thread, { task: { kind: 'close-file' }, resolve, reject });
          }),
      ),
    );
  }

  override async endIdle(): Promise<void> {
    const idle = this.#threads.filter(({ running }) => running.size === 0);
    this.#threads = this.#threads.filter((thread) => !idle.includes(thread));
    await Promise.all(idle.map(async ({ worker }) => worker.terminate()));
  }

  override async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#threads.map(async ({ worker }) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const thread = this.#freeThread();
      const next = thread && this.#queue.shift();
      if (thread === undefined || next === undefined) {
        return;
      }
      this.#send(thread, next);
    }
  }

  #freeThread(): Thread | undefined {
    const busy = (thread: Thread): number => thread.running.size;
    const [least] = this.#threads.toSorted((a, b) => busy(a) - busy(b));
    if (this.#threads.length < this.#size && (least === undefined || busy(least) > 0)) {
      return this.#start();
    }
    return least !== undefined && busy(least) < TASKS_PER_WORKER ? least : undefined;
  }

  #send(thread: Thread, waiting: Waiting): void {
    const id = this.#nextId++;
    if (thread.running.size === 0) {
      thread.worker.ref();
    }
    thread.running.set(id, waiting);
    thread.worker.postMessage({ id, task: waiting.task });
  }

  #start(): Thread {
    const worker = this.#startWorker();
    // Only a task keeps the process alive.
    worker.unref();
    if (this.#secrets !== undefined) {
      worker.postMessage(this.#secrets);
    }
    const thread: Thread = { worker, running: new Map() };
    this.#threads.push(thread);
    worker.on('message', (answer: WorkerAnswer | WorkerNeed) => {
      if ('need' in answer) {
        void this.#bring(answer);
      } else {
        this.#answer(thread, answer);
      }
    });
    worker.on('error', (error: unknown) => {
      this.#lose(thread, workerLost(error));
    });
    worker.on('exit', (code) => {
      this.#lose(thread, workerLost(new Error(`a vault worker ended (${code})`)));
    });
    return thread;
  }

  async #bring({ need, mailbox }: WorkerNeed): Promise<void> {
    try {
      await this.#bringFooter?.(need);
    } catch {
      // Without its footer the pack gives no hits; if the store is gone, the backup reports that
      // itself.
    }
    Atomics.store(mailbox, 0, 1);
    Atomics.notify(mailbox, 0);
  }

  #answer(thread: Thread, answer: WorkerAnswer): void {
    const waiting = thread.running.get(answer.id);
    thread.running.delete(answer.id);
    if (thread.running.size === 0) {
      thread.worker.unref();
    }
    if ('result' in answer) {
      waiting?.resolve(answer.result as never);
    } else if ('fault' in answer) {
      const { code, message, context } = answer.fault;
      waiting?.reject(new Fault(code, message, context));
    } else {
      waiting?.reject(answer.error);
    }
    this.#dispatch();
  }

  /** Fails the tasks of a thread that died; the next task starts a new one. */
  #lose(thread: Thread, error: Fault): void {
    this.#threads = this.#threads.filter((other) => other !== thread);
    const lost = [...thread.running.values()];
    thread.running.clear();
    for (const { reject } of lost) {
      reject(error);
    }
    if (this.#closed) {
      for (const { reject } of this.#queue.splice(0)) {
        reject(error);
      }
    } else {
      this.#dispatch();
    }
  }
}

/**
 * Heap of a thread, in MiB: a task leaves little but buffers behind, and those are outside of it.
 */
const YOUNG_GENERATION = 2;

function startVaultWorker(): Worker {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Worker(new URL(`./vault.worker.${extension}`, import.meta.url), {
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION },
  });
}

function workerLost(cause: unknown): Fault {
  return new Fault(
    'vault.worker-lost',
    'A worker thread ended in the middle of its work, most likely because memory ran out. Nothing was left half done in the vault; free memory and repeat.',
    {},
    { cause },
  );
}
