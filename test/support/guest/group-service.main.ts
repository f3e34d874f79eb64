/**
 * A service that backs a group of VMs up, and is killed at a step of it. Called with one parameter,
 * a GroupService as JSON.
 */
import process from 'node:process';
import { GroupBackupService } from '../../../src/backup/group-backup.service.ts';
import { QemuEngine } from '../../../src/engines/qemu/qemu-engine.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { heldVault } from '../vault/held-vault.ts';
import { createVault } from '../vault/vault-lab.ts';
import { guardsOf } from './guards.ts';

export interface GroupService {
  readonly stateFolder: string;
  readonly runFolder: string;
  readonly vms: readonly string[];
  readonly killAt: string;
  /** At which time that the step is reached, of whichever VM: 1 is the first. */
  readonly times: number;
  /** Whether what guards the guests is killed as well. */
  readonly withGuards: boolean;
}

const { signal } = new AbortController();
const service = JSON.parse(process.argv[2] ?? '') as GroupService;
let reached = 0;
const engine = new QemuEngine({
  stateFolder: service.stateFolder,
  runFolder: service.runFolder,
  limits: { freeBytesMin: 0 },
  onStep: async (step) => {
    if (step !== service.killAt) {
      return;
    }
    reached += 1;
    if (reached < service.times) {
      return;
    }
    const guards = await guardsOf(process.pid);
    process.stdout.write(`reached ${step}, guards ${String(guards.length)}\n`);
    for (const pid of service.withGuards ? guards : []) {
      process.kill(pid, 'SIGKILL');
    }
    process.kill(process.pid, 'SIGKILL');
    // The signal is on its way: nothing may be done after this.
    await new Promise(() => undefined);
  },
});

const { vault } = await createVault();
const groups = new GroupBackupService(
  {
    engine,
    vaults: { open: async () => heldVault(vault) },
    points: { newestOf: async () => [], put: async () => undefined },
    host: { id: 'lab' },
  },
  new SystemClock(),
  new SilentLog(),
);
await groups.take(
  {
    ...{ vaultId: 'v', crashConsistent: false, full: false },
    members: service.vms.map((vmId) => ({ vmId, run: `run of ${vmId}` })),
    rules: { freezeWithinMs: 20_000, spreadMs: 60_000, late: 'fail' },
    origin: { kind: 'group', policy: 'shop' },
  },
  { jobId: 'killed', signal, report: () => undefined },
);
process.stdout.write('done\n');
