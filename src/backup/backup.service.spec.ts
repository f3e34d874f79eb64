import { randomUUID } from 'node:crypto';
import type { CataloguedPoint } from '../catalog/rows/recovery-point.row.ts';
import type { FreezeOptions, FrozenVm } from '../engines/engine.ts';
import { FakeEngine } from '../../test/support/fake-engine/fake-engine.ts';
import { MiB } from '../kernel/text/bytes.ts';
import { actingAs } from '../kernel/actor.ts';
import { SystemClock } from '../kernel/clock.ts';
import { MemoryDisk } from '../../test/support/disk/memory-disk.ts';
import { SilentLog } from '../kernel/log.ts';
import type { Progress } from '../kernel/progress.ts';
import { MemoryObjectStore } from '../../test/support/vault/memory-object-store.ts';
import { Vault } from '../vault/vault.ts';
import { VmDefinition } from '../vm/definition.ts';
import { heldVault } from '../../test/support/vault/held-vault.ts';
import { NVRAM_FILE } from '../vault/points/recovery-point.ts';
import { BackupService } from './backup.service.ts';

const { signal } = new AbortController();
const VM = randomUUID();
const REQUEST = { vmId: VM, vaultId: 'v', crashConsistent: false, full: false };

/** Remembers what it was asked to keep. */
class RememberingEngine extends FakeEngine {
  readonly freezes: FreezeOptions[] = [];

  override async freeze(vm: string, options: FreezeOptions, stop: AbortSignal): Promise<FrozenVm> {
    this.freezes.push(options);
    return super.freeze(vm, options, stop);
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Set to a day after which a small disk is checked whole. */
class SetClock extends SystemClock {
  ms = (30 * 700 + 28) * DAY_MS;

  override nowMs(): number {
    return this.ms;
  }
}

/** Makes a running VM with two disks, an empty vault, and the service between them. */
async function setUp() {
  const clock = new SetClock();
  const engine = new RememberingEngine(clock);
  const disk = (name: string) => ({
    id: randomUUID(),
    name,
    path: `/d/${name}.raw`,
    format: 'raw',
    sizeBytes: 2 * MiB,
  });
  await engine.add(
    VmDefinition.parse({ id: VM, name: 'web', disks: [disk('system'), disk('data')] }),
    signal,
  );
  engine.setStatus(VM, 'running');
  const { vault } = await Vault.create(
    new MemoryObjectStore(),
    {
      name: 'v',
      passphrase: 'correct horse battery',
      workers: 0,
      parameters: { kdf: { memoryKib: 1024, passes: 1, lanes: 1 } },
    },
    signal,
  );
  const catalog: CataloguedPoint[] = [];
  const points = {
    broken: false,
    put: async (_: string, point: CataloguedPoint) => {
      if (points.broken) {
        throw new Error('no database');
      }
      catalog.push(point);
    },
    newestOf: async () => catalog.slice(-1).map((point) => ({ vaultId: 'v', point })),
  };
  const vaults = {
    away: false,
    open: async () => (vaults.away ? Promise.reject(new Error('away')) : heldVault(vault)),
  };
  const backups = new BackupService(
    { engine, vaults, points, host: { id: 'host-1' } },
    new SystemClock(),
    new SilentLog(),
  );
  const progress: Progress[] = [];
  const run = (stop = signal, change: object = {}) =>
    backups.takeRecoveryPoint(
      { ...REQUEST, ...change },
      { jobId: 'job-1', signal: stop, report: (report) => progress.push(report) },
    );
  return { engine, vault, vaults, points, catalog, progress, clock, run };
}

const ones = (length: number) => new Uint8Array(length).fill(1);

describe('where a point comes from', () => {
  it('is said by the point: by hand, and by which service, if nobody says more', async () => {
    const { vault, run } = await setUp();

    const { point } = await actingAs('laptop', async () => run());

    const read = await vault.point(point.id, signal);
    expect(read.origin).toEqual({ kind: 'hand', service: 'host-1', actor: 'laptop' });
  });

  it('makes a sealed point of the same run the result, without a freeze, and writes its row', async () => {
    const { engine, points, catalog, run } = await setUp();
    const origin = { kind: 'policy', policy: 'p', revision: 2, run: 'r1', fireAtMs: 5, attempt: 1 };
    points.broken = true;
    const first = await run(signal, { origin });
    points.broken = false;

    const second = await run(signal, { origin: { ...origin, attempt: 2 } });

    expect(first).toMatchObject({
      found: false,
      point: { origin: { ...origin, service: 'host-1' } },
    });
    expect(second).toMatchObject({ found: true, point: first.point, transactionMs: 0 });
    expect(catalog).toEqual([first.point]);
    expect(engine.freezes).toHaveLength(1);
  });

  it('makes a new point for another run, and for none', async () => {
    const { engine, run } = await setUp();
    await run(signal, { origin: { kind: 'policy', run: 'r1' } });

    expect(await run(signal, { origin: { kind: 'policy', run: 'r2' } })).toMatchObject({
      found: false,
    });
    expect(await run()).toMatchObject({ found: false });
    expect(engine.freezes).toHaveLength(3);
  });

  it('makes a new point when that of the run was given up', async () => {
    const { vault, run } = await setUp();
    const origin = { kind: 'policy', run: 'r1' };
    const { point } = await run(signal, { origin });
    await vault.retire(point.id, signal);

    expect(await run(signal, { origin })).toMatchObject({ found: false });
  });
});

describe('a limit for what the guest feels', () => {
  const guestLatency = { p99MsMax: 20, underEmulation: false };

  it('says in the result what it cost, and nothing where it is not asked for', async () => {
    const { run } = await setUp();

    expect(await run(signal, { guestLatency })).toMatchObject({ guestThrottledMs: 0 });
    expect(await run()).not.toHaveProperty('guestThrottledMs');
  });

  it('is not kept for an emulated guest, and the point says so', async () => {
    const { engine, run } = await setUp();
    engine.setEmulated(VM);

    const { point } = await run(signal, { guestLatency });

    expect(point.notes.join()).toMatch(/20 ms .* was not kept: its processor is emulated/);
  });
});

describe('BackupService.takeRecoveryPoint', () => {
  it('reads only what changed since the point before', async () => {
    const { engine, run } = await setUp();
    engine.write(VM, 'system', 0, ones(1 * MiB));
    const first = await run();
    engine.write(VM, 'data', 1 * MiB, ones(4096));

    const second = await run();

    expect(first.point.disks.map(({ method }) => method)).toEqual(['full', 'full']);
    expect(second.point.parentId).toBe(first.point.id);
    expect(second.point.disks).toMatchObject([
      { name: 'system', method: 'changed-extents', statistics: { readBytes: 0 } },
      { name: 'data', method: 'changed-extents', statistics: { readBytes: 4096 } },
    ]);
    expect(second).toMatchObject({ guestFrozenMs: 5, transactionMs: 1 });
  });

  it('reads everything when asked to, and says so', async () => {
    const { run } = await setUp();
    await run();

    const { point } = await run(signal, { full: true });

    expect(point.disks.map(({ reason }) => reason)).toEqual(['requested', 'requested']);
  });

  it('keeps the definition and the NVRAM in the point', async () => {
    const { engine, vault, run } = await setUp();
    engine.setNvram(VM, ones(512));

    const { point } = await run();

    expect(point.configuration).toMatchObject({ id: VM, name: 'web' });
    expect(await vault.readFile(point.id, NVRAM_FILE, signal)).toEqual(Buffer.from(ones(512)));
  });

  it('keeps the change log that the next incremental starts from', async () => {
    const { engine, catalog, run } = await setUp();
    await run();

    await run();

    const [system] = catalog[0]?.disks ?? [];
    expect(engine.freezes[0]).toMatchObject({ jobToken: 'job-1', neededGenerations: {} });
    expect(engine.freezes[1]?.neededGenerations).toMatchObject({
      [system?.diskId ?? '']: system?.tracking?.generation,
    });
  });

  it('reports progress that never goes back and ends with everything', async () => {
    const { engine, progress, run } = await setUp();
    engine.write(VM, 'system', 0, ones(1 * MiB));
    engine.write(VM, 'data', 0, ones(1 * MiB));

    await run();

    const done = progress.map(({ doneBytes }) => doneBytes);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(progress.at(-1)).toEqual({
      phase: 'sealing',
      doneBytes: 4 * MiB,
      totalBytes: 4 * MiB,
    });
  });

  it('loses no change, and leaves nothing frozen, when it is cancelled in the middle', async () => {
    const { engine, vault, run } = await setUp();
    await run();
    engine.write(VM, 'system', 0, ones(4096));
    const abort = new AbortController();
    const freeze = engine.freeze.bind(engine);
    engine.freeze = async (...given) => {
      const frozen = await freeze(...given);
      abort.abort();
      return frozen;
    };

    await expect(run(abort.signal)).rejects.toMatchObject({ name: 'AbortError' });

    expect(engine.frozen).toBe(0);
    expect(await vault.points(signal)).toHaveLength(1);
    const { point } = await run();
    expect(point.disks[0]).toMatchObject({
      method: 'changed-extents',
      statistics: { readBytes: 4096 },
    });
  });

  it('does not touch the VM when the vault is away', async () => {
    const { engine, vaults, run } = await setUp();
    vaults.away = true;

    await expect(run()).rejects.toThrow('away');

    expect(engine.freezes).toEqual([]);
  });

  it('lets the next one begin after a freeze that failed', async () => {
    const { engine, run } = await setUp();
    engine.failNextFreeze(new Error('no room'));
    await expect(run()).rejects.toThrow('no room');

    expect((await run()).point.vmId).toBe(VM);
  });

  it('makes no point of a disk that was written from outside while it was read', async () => {
    const { engine, vault, run } = await setUp();
    engine.writtenImages.add(VM);
    await expect(run()).rejects.toMatchObject({ code: 'engine.image-changed' });
    expect(await vault.points(new AbortController().signal)).toEqual([]);

    engine.writtenImages.delete(VM);
    expect((await run()).point.vmId).toBe(VM);
  });

  it('reads the whole disk when tracking missed something, says which points are in doubt, tracks anew', async () => {
    const { engine, vault, clock, run } = await setUp();
    engine.write(VM, 'data', 0, ones(1 * MiB));
    const first = await run();
    engine.write(VM, 'system', 0, ones(4096));
    const second = await run();
    engine.writeUnnoticed(VM, 'data', 512 * 1024, new Uint8Array(4096).fill(9));

    clock.ms += DAY_MS;
    const third = await run();

    const [, data] = third.point.disks;
    expect(data).toMatchObject({ name: 'data', method: 'full', reason: 'tracking-wrong' });
    const notes = third.point.notes.join();
    expect(notes).toContain(`may lack changes of the disk: ${second.point.id}`);
    expect(notes).not.toContain(first.point.id);
    const disk = new MemoryDisk(2 * MiB);
    const place = { pointId: third.point.id, diskId: data?.diskId ?? '' };
    await vault.restoreDisk(place, disk.writer(), { signal });
    const bytes = new Uint8Array(4096);
    await disk.reader().read(512 * 1024, bytes, signal);
    expect(new Set(bytes)).toEqual(new Set([9]));
    expect((await run()).point.disks[1]).toMatchObject({ reason: 'tracking-replaced' });
  });

  it.each(['while the frozen state is given back', 'before the seal'])(
    'believes no tracking that was found wrong when it is cancelled %s',
    async (when) => {
      const { engine, vault, clock, run } = await setUp();
      engine.write(VM, 'data', 0, ones(1 * MiB));
      await run();
      engine.writeUnnoticed(VM, 'data', 512 * 1024, new Uint8Array(4096).fill(9));
      clock.ms += DAY_MS;
      const abort = new AbortController();
      const freeze = engine.freeze.bind(engine);
      engine.freeze = async (...given) => {
        const frozen = await freeze(...given);
        return {
          ...frozen,
          assertUnchanged: async (stop) => {
            if (when === 'before the seal') {
              abort.abort();
            }
            await frozen.assertUnchanged(stop);
          },
          [Symbol.asyncDispose]: async () => {
            abort.abort();
            await frozen[Symbol.asyncDispose]();
          },
        };
      };

      const taken = await Promise.allSettled([run(abort.signal)]);

      engine.freeze = freeze;
      const isSealed = when !== 'before the seal';
      expect(taken).toMatchObject([{ status: isSealed ? 'fulfilled' : 'rejected' }]);
      expect(await vault.points(signal)).toHaveLength(isSealed ? 2 : 1);
      expect((await run()).point.disks[1]).toMatchObject({ reason: 'tracking-replaced' });
    },
  );

  it('has taken the point although the catalog could not be written', async () => {
    const { vault, points, run } = await setUp();
    points.broken = true;

    const { point } = await run();

    expect((await vault.points(signal)).map(({ id }) => id)).toEqual([point.id]);
  });
});
