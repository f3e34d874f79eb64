import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import type { PackName } from '../layout.ts';
import { writeRun, type RecordSource } from './run-writer.ts';

export interface RunOrder {
  readonly folder: string;
  readonly packs: readonly PackName[];
  readonly sources: readonly RecordSource[];
}

assert(parentPort !== null, 'this file runs in a worker thread');
const { folder, packs, sources } = workerData as RunOrder;
parentPort.postMessage(writeRun(folder, packs, sources));
