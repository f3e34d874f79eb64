import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { FakeEngine } from '../../test/support/fake-engine/fake-engine.ts';
import { heldVault } from '../../test/support/vault/held-vault.ts';
import { MemoryObjectStore } from '../../test/support/vault/memory-object-store.ts';
import { SystemClock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { SilentLog } from '../kernel/log.ts';
import { MiB } from '../kernel/text/bytes.ts';
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
const idOf = (name: (typeof NAMES)[number]): string => IDS[NAMES.indexOf(name)] ?? '';

/** Three running VMs, an empty vault, and the service between them. */
async function setUp() {
  const engine = new FakeEngine();
  for (const [at, name] of NAMES.entries()) {
    const disk = { id: randomUUID(), name: 'd', path: `/${name}.raw`, format: 'raw' };
    await engine.add(
      VmDefinition.parse({ id: IDS[at], name, disks: [{ ...disk, sizeBytes: 2 * MiB }] }),
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
  /** VMs whose images are found written when they are about to be sealed. */
  const points = { put: async () => undefined, newestOf: async () => [] };
  const groups = new GroupBackupService(
    { engine, vaults: { open: async () => heldVault(vault) }, points, host: { id: 'host-1' } },
    new SystemClock(),
    new SilentLog(),
  );
  const run = async (jobId: string, change: Partial<GroupBackupRequest> = {}) =>
    groups.take({ ...REQUEST, ...change }, { jobId, signal, report: () => undefined });
  const inVault = async () =>
    (await vault.points(signal))
      .map(({ vmName, origin }) => `${vmName} ${origin?.group ?? ''}`)
      .sort();
  return { engine, vault, run, inVault };
}

describe('GroupBackupService', () => {
  it('takes a set whose points say of one another', async () => {
    const { engine, vault, run } = await setUp();

    const taken = await run('attempt-1');

    expect(taken).toMatchObject({ groupId: 'attempt-1', isComplete: true, missing: [] });
    expect(taken.skewMs).toBeGreaterThanOrEqual(1);
    const points = await vault.points(signal);
    expect(points.map(({ vmName }) => vmName).sort()).toEqual([...NAMES]);
    for (const { origin, vmName, notes, consistency } of points) {
      expect(origin).toEqual({
        ...{ kind: 'group', policy: 'shop', revision: 1, fireAtMs: 5, attempt: 1 },
        ...{ service: 'host-1', run: `run-${vmName}`, group: 'attempt-1', members: IDS },
      });
      expect(notes.join()).toContain('Taken at one moment with');
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
    expect(await inVault()).toEqual(['db attempt-1', 'queue attempt-1']);
    expect(engine.frozen).toBe(0);

    engine.writtenImages.clear();
    expect(await run('attempt-2')).toMatchObject({ isComplete: true, groupId: 'attempt-2' });
    expect(await inVault()).toEqual([
      ...['db attempt-1', 'db attempt-2', 'queue attempt-1', 'queue attempt-2', 'web attempt-2'],
    ]);
  });

  it('finds the complete set of an attempt that ended before it could say so', async () => {
    const { run, inVault } = await setUp();
    await run('attempt-1');

    const found = await run('attempt-2');

    expect(found).toMatchObject({ groupId: 'attempt-1', isComplete: true });
    expect(found.points.map(({ found: isFound }) => isFound)).toEqual([true, true, true]);
    expect(await inVault()).toHaveLength(3);
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
