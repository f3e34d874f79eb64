import type { ChunkingSecrets } from './store-task.ts';
import type { Task, TaskResults } from './task-runner.ts';

/** Who runs the tasks of one vault. */
export abstract class TaskPool {
  /** How many tasks are worth running at once. */
  abstract readonly depth: number;

  /** Gets ready before there is work, because that takes some time. */
  abstract warm(): void;

  /** Call it once, before the first task. */
  abstract arm(secrets: ChunkingSecrets): void;

  /** Sets what brings the footers that lookups outside the main thread need. */
  abstract onNeed(bringFooter: (pack: number) => Promise<void>): void;

  abstract run<T extends Task>(task: T): Promise<TaskResults[T['kind']]>;

  /** Closes the image that tasks read. */
  abstract closeFiles(): Promise<void>;

  /** Frees what idle threads hold; a later task starts a new one. */
  abstract endIdle(): Promise<void>;

  abstract close(): Promise<void>;
}
