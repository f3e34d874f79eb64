import assert from 'node:assert/strict';
import type { ChunkingSecrets } from './store-task.ts';
import { TaskPool } from './task-pool.ts';
import { TaskRunner, type Task, type TaskResults } from './task-runner.ts';

/**
 * Runs every task in the calling thread: for vaults that live for a moment, where starting threads
 * would be most of the work. It asks nobody for footers: it sees those that are there.
 */
export class InlinePool extends TaskPool {
  override readonly depth = 1;
  #runner: TaskRunner | undefined;

  override warm(): void {
    // There is no thread to start.
  }

  override arm(secrets: ChunkingSecrets): void {
    this.#runner = new TaskRunner(secrets);
  }

  override onNeed(): void {
    // The main thread waits for nobody.
  }

  override async run<T extends Task>(task: T): Promise<TaskResults[T['kind']]> {
    assert(this.#runner !== undefined, 'the keys come before the first task');
    return this.#runner.run(task) as TaskResults[T['kind']];
  }

  override async closeFiles(): Promise<void> {
    this.#runner?.run({ kind: 'close-file' });
  }

  override async endIdle(): Promise<void> {
    // There is no thread to end.
  }

  override async close(): Promise<void> {
    await this.closeFiles();
  }
}
