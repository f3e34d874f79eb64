import { openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { endAtOnce } from '../../../src/platform/end-at-once.ts';
import { StopDeadline } from '../../../src/platform/stop-deadline.ts';

/*
 * A process that hangs in the file system, in a thread of its own and in one of Node, as if a disk
 * did not answer: nobody ever writes to the pipe that it reads.
 */

const LIMIT_MS = 200;

if (isMainThread) {
  const [, , pipe = ''] = process.argv;
  const stop = new AbortController();
  process.on('SIGTERM', () => {
    stop.abort();
  });
  const deadline = new StopDeadline(stop.signal, LIMIT_MS, endAtOnce);
  deadline.before(() => process.stdout.write('overdue'));
  void open(pipe, 'r');
  const worker = new Worker(new URL(import.meta.url), { workerData: pipe });
  worker.once('message', () => process.stdout.write('hangs'));
} else {
  const { parentPort } = await import('node:worker_threads');
  parentPort?.postMessage('ready');
  openSync(workerData as string, 'r');
}
