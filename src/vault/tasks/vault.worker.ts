import assert from 'node:assert/strict';
import { parentPort } from 'node:worker_threads';
import { Fault } from '../../kernel/fault.ts';
import { collectGarbage, GarbageRounds } from '../../kernel/memory/garbage.ts';
import type { ChunkingSecrets } from './store-task.ts';
import { TaskRunner, type Task, type TaskResults } from './task-runner.ts';

/** What a worker answers. */
export type WorkerAnswer = { readonly id: number } & (
  | { readonly result: TaskResults[Task['kind']] }
  | { readonly fault: Pick<Fault, 'code' | 'message' | 'context'> }
  | { readonly error: unknown }
);

/**
 * A worker waits for a footer. The receiver tells the mailbox when it is there, or that it will not
 * come.
 */
export interface WorkerNeed {
  readonly need: number;
  readonly mailbox: Int32Array;
}

assert(parentPort !== null, 'this file runs in a worker thread');
const port = parentPort;
let runner: TaskRunner | undefined;

// Encrypting and decrypting leave about 3 MiB of dead buffers per task, and the engine would let
// them grow for long before it collects.
const garbage = new GarbageRounds({ young: 4, all: 64 });

/** The first message has the keys, every other one a task. */
port.once('message', (secrets: ChunkingSecrets) => {
  runner = new TaskRunner(secrets, needFooter);
  port.on('message', perform);
});

/** Longer than a store takes for 64 KiB; afterwards the chunk counts as new. */
const NEED_MS_MAX = 30_000;

function needFooter(pack: number): void {
  const mailbox = new Int32Array(new SharedArrayBuffer(4));
  port.postMessage({ need: pack, mailbox } satisfies WorkerNeed);
  Atomics.wait(mailbox, 0, 0, NEED_MS_MAX);
}

function perform({ id, task }: { id: number; task: Task }): void {
  assert(runner !== undefined, 'the keys came before the first task');
  let isClean = false;
  try {
    const result = runner.run(task);
    // A scan that found nothing new encrypted nothing.
    isClean = typeof result === 'object' && 'newBytes' in result && result.newBytes === 0;
    port.postMessage({ id, result } satisfies WorkerAnswer, moved(result));
  } catch (error) {
    if (error instanceof Fault) {
      const { code, message, context } = error;
      port.postMessage({ id, fault: { code, message, context } } satisfies WorkerAnswer);
    } else {
      port.postMessage({ id, error } satisfies WorkerAnswer);
    }
  }
  if (task.kind === 'close-file') {
    // At the end of a disk: references to shared buffers here would keep them in memory.
    collectGarbage('all');
  } else if (!isClean) {
    garbage.turn();
  }
}

/**
 * Lists the buffers to transfer instead of copying. Each decrypted frame has a buffer of its own.
 */
function moved(result: TaskResults[Task['kind']]): ArrayBuffer[] {
  if (!Array.isArray(result)) {
    return [];
  }
  return result.flatMap((frame) =>
    typeof frame === 'object' &&
    'raw' in frame &&
    frame.raw.buffer instanceof ArrayBuffer &&
    frame.raw.buffer.byteLength > Buffer.poolSize
      ? [frame.raw.buffer]
      : [],
  );
}
