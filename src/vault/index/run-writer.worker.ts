import assert from 'node:assert/strict';
import { parentPort, workerData } from 'node:worker_threads';
import { SystemFault } from '../../kernel/fault.ts';
import type { PackName } from '../format/object-names.ts';
import { writeRun, type RecordSource, type WrittenRun } from './run-writer.ts';

export interface RunOrder {
  readonly folder: string;
  readonly packs: readonly PackName[];
  readonly sources: readonly RecordSource[];
}

export type RunAnswer =
  | { readonly written: WrittenRun }
  | { readonly refused: Pick<SystemFault, 'code' | 'message' | 'system'> };

assert(parentPort !== null, 'this file runs in a worker thread');
const { folder, packs, sources } = workerData as RunOrder;
parentPort.postMessage(answer());

function answer(): RunAnswer {
  try {
    return { written: writeRun(folder, packs, sources) };
  } catch (error) {
    if (!(error instanceof SystemFault)) {
      throw error;
    }
    const { code, message, system } = error;
    return { refused: { code, message, system } };
  }
}
