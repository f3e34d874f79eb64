// Looks after a vault on an S3 server in a process of its own, which somebody else kills.
import { SystemClock } from '../../src/kernel/clock.ts';
import { collectVault } from '../../src/vault/collect/collector.ts';
import type { CollectOptions } from '../../src/vault/collect/collect-options.ts';
import { keepLocks } from '../../src/vault/lock/keeper.ts';
import { openObjectStore } from '../../src/vault/object-stores/location.ts';
import { openVault, signal } from '../support/vault/vault-lab.ts';

export type CareTask = {
  readonly vault: string;
  readonly endpoint: string;
} & (
  | { readonly job: 'collect'; readonly options: CollectOptions }
  | { readonly job: 'keep'; readonly batch: number }
);

const task = JSON.parse(process.argv[2] ?? '') as CareTask;
const store = await openObjectStore(task.vault, { endpoint: task.endpoint }, signal);
const vault = await openVault(store, { clock: new SystemClock() });
const { inside } = vault;
await (task.job === 'collect'
  ? collectVault(inside, task.options, { signal })
  : keepLocks(inside, { batch: task.batch }, { signal }));
await vault.close();
await store.close();
