import { runCompare, type CompareTask } from './compare-task.ts';
import {
  idFunctionOf,
  runCheck,
  runDigest,
  runOpen,
  type CheckedFrame,
  type CheckTask,
  type DigestTask,
  type OpenedFrame,
  type OpenTask,
} from './frame-tasks.ts';
import { FrameRestorer, type RestoredFrames, type RestoreTask } from './restore-task.ts';
import type { NeedFooter } from '../index/chunk-lookup.ts';
import type { ChunkIdFunction } from '../chunks/chunk-id.ts';
import {
  ChunkStorer,
  type ChunkingSecrets,
  type StoreResult,
  type StoreTask,
} from './store-task.ts';

/** Closes files that a worker keeps open between tasks. */
export interface CloseTask {
  readonly kind: 'close-file';
}

export type Task =
  StoreTask | OpenTask | RestoreTask | CheckTask | CompareTask | DigestTask | CloseTask;

export interface TaskResults {
  store: StoreResult;
  open: OpenedFrame[];
  restore: RestoredFrames;
  check: CheckedFrame[];
  /** Positions of content that differs from what is expected. */
  compare: number[];
  digest: Uint8Array;
  'close-file': undefined;
}

/** Does the heavy work. Each thread has its own. */
export class TaskRunner {
  readonly #secrets: ChunkingSecrets;
  #storer: ChunkStorer | undefined;
  #restorer: FrameRestorer | undefined;
  #id: ChunkIdFunction | undefined;

  readonly #need: NeedFooter | undefined;

  /** @param need brings the footer of a pack to where lookups see it */
  constructor(secrets: ChunkingSecrets, need?: NeedFooter) {
    this.#secrets = secrets;
    this.#need = need;
  }

  run(task: Task): TaskResults[Task['kind']] {
    switch (task.kind) {
      case 'store':
        return (this.#storer ??= new ChunkStorer(this.#secrets, this.#need)).run(task);
      case 'open':
        return runOpen(task, () => this.#idFunction());
      case 'restore':
        return (this.#restorer ??= new FrameRestorer(() => this.#idFunction())).run(task);
      case 'check':
        return runCheck(task, this.#idFunction());
      case 'compare':
        return runCompare(task, this.#idFunction());
      case 'digest':
        return runDigest(task);
      case 'close-file':
        this.#storer?.close();
        this.#restorer?.close();
        return undefined;
    }
  }

  #idFunction(): ChunkIdFunction {
    return (this.#id ??= idFunctionOf(this.#secrets));
  }
}
