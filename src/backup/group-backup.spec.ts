import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { FakeEngine } from '../../test/support/fake-engine/fake-engine.ts';
import { heldVault } from '../../test/support/vault/held-vault.ts';
import { MemoryObjectStore } from '../../test/support/vault/memory-object-store.ts';
import { Clock, SystemClock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { SilentLog } from '../kernel/log.ts';
import type { Progress, ReportProgress } from '../kernel/progress.ts';
import { MiB } from '../kernel/text/bytes.ts';
import type { RecoveryPoint } from '../vault/points/recovery-point.ts';
import { Vault } from '../vault/vault.ts';
import { VmDefinition } from '../vm/definition.ts';
import {
  GroupBackupService,
  GroupFailed,
  type GroupBackupRequest,
} from './group-backup.service.ts';

const { signal } = new AbortController();
const NAMES = ['db', 'queue', 'web'] as const;
const IDS = NAMES.map(() => randomUUID());
const REQUEST: GroupBackupRequest = {
  members: IDS.map((vmId, at) => ({ vmId, run: `run-${NAMES[at] ?? ''}` })),
  rules: { freezeWithinMs: 10_000, spreadMs: 10_000, late: 'crash-consistent' },
  origin: { kind: 'group', policy: 'shop', revision: 1, fireAtMs: 5, attempt: 1 },
  ...{ vaultId: 'v', crashConsistent: false, full: false },
};
const DISK_BYTES = 2 * MiB;
const idOf = (name: (typeof NAMES)[number]): string => IDS[NAMES.indexOf(name)] ?? '';

class StillClock extends Clock {
  override nowMs(): number {
    return 1000;
  }

  override monotonicMs(): number {
    return 1000;
  }
}

/** Three running VMs, an empty vault, and the service between them. */
async function setUp() {
  // It stands still, so that snapshots are as far apart as a test says.
  const engine = new FakeEngine(new StillClock());
  for (const [at, name] of NAMES.entries()) {
    const disk = { id: randomUUID(), name: 'd', path: `/${name}.raw`, format: 'raw' };
    await engine.add(
      VmDefinition.parse({ id: IDS[at], name, disks: [{ ...disk, sizeBytes: DISK_BYTES }] }),
      signal,
    );
    engine.setStatus(idOf(name), 'running');
  }
  const { vault } = await Vault.create(
    new MemoryObjectStore(),
    {
      ...{ name: 'v', passphrase: 'correct horse battery', workers: 0 },
      parameters: { kdf: { memoryKib: 1024, passes: 1, lanes: 1 } },
    },
    signal,
  );
  /** Names of the VMs whose points came into the catalog, and what is done then. */
  const catalogued: string[] = [];
  const on = {
    catalogued: (async () => undefined) as (vmName: string) => Promise<void>,
    report: (() => undefined) as ReportProgress,
  };
  const put = async (_vaultId: string, { vmName }: RecoveryPoint) => {
    catalogued.push(vmName);
    await on.catalogued(vmName);
  };
  const points = { put, newestOf: async () => [] };
  const groups = new GroupBackupService(
    { engine, vaults: { open: async () => heldVault(vault) }, points, host: { id: 'host-1' } },
    new SystemClock(),
    new SilentLog(),
  );
  const run = async (jobId: string, change: Partial<GroupBackupRequest> = {}) =>
    groups.take({ ...REQUEST, ...change }, { jobId, signal, report: on.report });
  const inVault = async () =>
    (await vault.points(signal))
      .map(({ vmName, origin }) => `${vmName} ${origin?.group ?? ''}`)
      .sort();
  return { engine, vault, run, inVault, catalogued, on };
}

describe('GroupBackupService', () => {
  it('takes a set whose points say of one another', async () => {
    const { engine, vault, run } = await setUp();

    const taken = await run('attempt-1');

    expect(taken).toMatchObject({ groupId: 'attempt-1', isComplete: true, missing: [] });
    // The fake's snapshots take a millisecond.
    expect(taken.skewMs).toBe(1);
    const points = await vault.points(signal);
    expect(points.map(({ vmName }) => vmName).sort()).toEqual([...NAMES]);
    for (const { origin, vmName, notes, consistency } of points) {
      expect(origin).toEqual({
        ...{ kind: 'group', policy: 'shop', revision: 1, fireAtMs: 5, attempt: 1 },
        ...{ service: 'host-1', run: `run-${vmName}`, group: 'attempt-1', members: IDS },
      });
      const others = NAMES.filter((name) => name !== vmName).join(', ');
      expect(notes).toContain(`Taken at one moment with ${others} (within 1 ms).`);
      expect(consistency).toBe('filesystem');
    }
    expect(engine.frozen).toBe(0);
  });

  it('leaves what was sealed when one fails after that, and takes all anew the next time', async () => {
    const { engine, run, inVault } = await setUp();
    engine.writtenImages.add(idOf('web'));

    const failure = run('attempt-1');

    await expect(failure).rejects.toMatchObject({
      fault: { code: 'engine.image-changed', context: { vmName: 'web' } },
      taken: { isComplete: false, missing: ['web'], groupId: 'attempt-1' },
    });
    await expect(failure).rejects.toThrow('web: ');
    expect(await inVault()).toEqual(['db attempt-1', 'queue attempt-1']);
    expect(engine.frozen).toBe(0);

    // Points of two moments are no set, though each VM has one.
    engine.writtenImages.clear();
    engine.writtenImages.add(idOf('queue'));
    await expect(run('attempt-2')).rejects.toMatchObject({ taken: { missing: ['queue'] } });

    engine.writtenImages.clear();
    expect(await run('attempt-3')).toMatchObject({ isComplete: true, groupId: 'attempt-3' });
    expect(await inVault()).toEqual([
      ...['db attempt-1', 'db attempt-2', 'db attempt-3', 'queue attempt-1', 'queue attempt-3'],
      ...['web attempt-2', 'web attempt-3'],
    ]);
  });

  it('gives a VM back as soon as its point is sealed, and reports of all together', async () => {
    const { engine, run, on } = await setUp();
    const reports: Progress[] = [];
    on.report = (progress) => {
      reports.push(progress);
    };
    on.catalogued = async (vmName) => {
      while (vmName === 'web' && engine.frozen > 1) {
        await setImmediate();
      }
    };

    await run('attempt-1');

    const allBytes = NAMES.length * DISK_BYTES;
    expect(reports.at(-1)).toMatchObject({ doneBytes: allBytes, totalBytes: allBytes });
  });

  it('finds the complete set of an attempt that ended before it could say so', async () => {
    const { run, inVault, catalogued } = await setUp();
    await run('attempt-1');
    catalogued.length = 0;

    const found = await run('attempt-2');

    expect(found).toMatchObject({ groupId: 'attempt-1', isComplete: true });
    expect(found.points.map(({ found: isFound }) => isFound)).toEqual([true, true, true]);
    expect(await inVault()).toHaveLength(3);
    expect(catalogued.sort()).toEqual([...NAMES]);
  });

  it('freezes none if one is held by somebody else, and lets go of all', async () => {
    const { engine, run, inVault } = await setUp();
    {
      await using held = await engine.claim(idOf('web'), 'somebody', signal);
      await expect(run('attempt-1')).rejects.toMatchObject({
        ...{ code: 'engine.vm-busy', context: { vmName: 'web' } },
      });
      expect(held.vmId).toBe(idOf('web'));
    }
    expect(await inVault()).toEqual([]);
    expect(await run('attempt-2')).toMatchObject({ isComplete: true });
  });

  it('takes a late guest crash-consistent, or ends the run, as the policy says', async () => {
    const { engine, vault, run, inVault } = await setUp();
    engine.lateGuests.set(idOf('queue'), 'it hangs');

    const strict = run('attempt-1', { rules: { ...REQUEST.rules, late: 'fail' } });
    await expect(strict).rejects.toMatchObject({ code: 'backup.group-late' });
    expect(await inVault()).toEqual([]);
    expect(engine.frozen).toBe(0);

    await run('attempt-2');
    const points = await vault.points(signal);
    const crashed = points.filter(({ consistency }) => consistency === 'crash');
    expect(crashed.map(({ vmName, notes }) => [vmName, notes[0]])).toEqual([
      ['queue', 'Crash-consistent: it hangs.'],
    ]);
  });

  it('refuses snapshots that are too far apart', async () => {
    const { engine, run, inVault } = await setUp();
    engine.skewsMs.set(idOf('db'), 60_000);

    const failure = run('attempt-1');

    await expect(failure).rejects.toMatchObject({ code: 'backup.group-skewed' });
    await expect(failure).rejects.toThrow('the policy allows 10000 ms');
    expect(await inVault()).toEqual([]);
    expect(engine.frozen).toBe(0);
  });

  it('runs the commands of all before it freezes one, and those after in all when one fails', async () => {
    const { engine, run } = await setUp();
    const guestCommands = {
      ...{ before: [['/bin/hold']], after: [['/bin/go']] },
      ...{ timeLimitMs: 1000, onFailure: 'abort' as const },
    };
    engine.failNextFreeze(new Fault('engine.refused', 'no'));
    engine.failNextFreeze(new Fault('engine.unreachable', 'not the first'));

    const failure: unknown = await run('attempt-1', { guestCommands }).catch(
      (error: unknown) => error,
    );

    assert(failure instanceof GroupFailed);
    expect(failure.fault.code).toBe('engine.refused');
    expect(failure.taken.guestCommands.map(({ vmName }) => vmName)).toContain('db');

    const three = (program: string) => [program, program, program];
    expect(engine.ranInGuests).toEqual([...three('/bin/hold'), ...three('/bin/go')]);
  });
});
