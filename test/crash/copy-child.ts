// Copies a vault in a process of its own that ends itself with SIGKILL at the n-th PUT.
import { SystemClock } from '../../src/kernel/clock.ts';
import { VaultCopy } from '../../src/vault/copy/vault-copy.ts';
import { DirectoryObjectStore } from '../../src/vault/object-stores/folder/directory.ts';
import { FaultyObjectStore } from '../support/vault/faulty-object-store.ts';

export interface CopyTask {
  readonly from: string;
  readonly to: string;
  /** Counts from 0; `after`: at the request that follows it. */
  readonly put: number;
  readonly when: 'before' | 'after';
}

const task = JSON.parse(process.argv[2] ?? '') as CopyTask;
let puts = 0;
let isDue = false;
const target = new FaultyObjectStore(new DirectoryObjectStore(task.to), ({ kind }) => {
  const isIt = kind === 'put' && puts++ === task.put;
  if (isDue || (isIt && task.when === 'before')) {
    process.kill(process.pid, 'SIGKILL');
  }
  isDue ||= isIt;
  return undefined;
});
const source = new DirectoryObjectStore(task.from);
const { signal } = new AbortController();
await new VaultCopy({ source, target, clock: new SystemClock() }).run({ signal });
