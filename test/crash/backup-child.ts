// One backup in a process of its own, by the real service class, that ends itself with SIGKILL at a
// given moment.
import { readFileSync } from 'node:fs';
import { BackupService } from '../../src/backup/backup.service.ts';
import type { GuestCommandsRequest } from '../../src/backup/guest-hooks.ts';
import { QemuEngine } from '../../src/engines/qemu/qemu-engine.ts';
import { SystemClock } from '../../src/kernel/clock.ts';
import { SilentLog } from '../../src/kernel/log.ts';
import { DirectoryObjectStore } from '../../src/vault/object-stores/folder/directory.ts';
import { Vault } from '../../src/vault/vault.ts';
import { FaultyObjectStore } from '../support/vault/faulty-object-store.ts';
import { heldVault } from '../support/vault/held-vault.ts';

/** Where the process ends: at a step of the engine, or before or after the n-th PUT. */
export interface ChildTask {
  readonly stateFolder: string;
  readonly runFolder: string;
  readonly vmId: string;
  readonly vaultFolder: string;
  readonly cacheFolder: string;
  readonly masterKeyHex: string;
  readonly step?: string;
  readonly put?: { readonly index: number; readonly when: 'before' | 'after' };
  /** End QEMU as well, first. */
  readonly qemuToo: boolean;
  /** Id of the run that the backup is an attempt of. */
  readonly run?: string;
  readonly guestCommands?: GuestCommandsRequest;
}

const task = JSON.parse(process.argv[2] ?? '') as ChildTask;
const signal = new AbortController().signal;

function die(): void {
  if (task.qemuToo) {
    process.kill(Number(readFileSync(engine.paths(task.vmId).pid, 'utf8')), 'SIGKILL');
  }
  process.kill(process.pid, 'SIGKILL');
}

const engine: QemuEngine = new QemuEngine({
  stateFolder: task.stateFolder,
  runFolder: task.runFolder,
  onStep: (step) => {
    if (step === task.step) {
      die();
    }
  },
});

let puts = 0;
let isDue = false;

function dieIfDue(): void {
  if (isDue) {
    die();
  }
}

const store = new FaultyObjectStore(new DirectoryObjectStore(task.vaultFolder), ({ kind }) => {
  dieIfDue();
  if (kind === 'put' && task.put !== undefined) {
    const isIt = puts++ === task.put.index;
    if (isIt && task.put.when === 'before') {
      die();
    }
    isDue = isIt;
  }
  return undefined;
});

const vault = await Vault.open(
  store,
  { kind: 'master-key', key: Buffer.from(task.masterKeyHex, 'hex') },
  { cacheFolder: task.cacheFolder },
  signal,
);
await engine.reconcile(signal);
const service = new BackupService(
  {
    engine,
    vaults: { open: async () => heldVault(vault) },
    points: { newestOf: async () => [], put: async () => undefined },
    host: { id: 'child' },
  },
  new SystemClock(),
  new SilentLog(),
);
await service.takeRecoveryPoint(
  {
    vmId: task.vmId,
    vaultId: task.vmId,
    crashConsistent: false,
    full: false,
    origin: { kind: 'policy', run: task.run },
    guestCommands: task.guestCommands,
  },
  { jobId: 'child', signal, report: () => undefined },
);
dieIfDue();
await engine.close();
await vault.close();
