import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { DataSource } from 'typeorm';
import { openCatalog } from '../../../src/catalog/database/catalog-source.ts';
import { backupNeeds } from '../../../src/backup/backup.job.ts';
import { InventoryRows } from '../../../src/catalog/inventory-rows.ts';
import { VaultHosts } from '../../../src/catalog/jobs/vault-hosts.ts';
import type { HeldVaults } from '../../../src/catalog/jobs/vault-reach.ts';
import { VaultRegistrations } from '../../../src/catalog/vault-registrations.ts';
import type { LeaseTerms } from '../../../src/catalog/jobs/lease-messages.ts';
import { isFinished, type Job, type RunJob } from '../../../src/jobs/job.ts';
import { Jobs } from '../../../src/jobs/jobs.ts';
import { newJob } from '../../../src/jobs/live-job.ts';
import { toStored } from '../../../src/jobs/stored-job.ts';
import type { JobsOptions } from '../../../src/jobs/live-job.ts';
import { vaultNeeds } from '../../../src/jobs/vault-needs.ts';
import { laneLimits } from '../../../src/jobs/job-lanes.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { openJobStorage, type OpenJobStorage } from '../../support/jobs/job-storage.ts';
import { SHORT_LEASES } from '../../support/jobs/short-leases.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';

const BACKUP = { kind: 'backup', subject: { vmName: 'web' }, parameters: {} } as const;
const BLOCKED = fileURLToPath(
  new URL('../../support/jobs/blocked-service.main.ts', import.meta.url),
);
/** So many leases long is a backup that takes long. */
const LEASES = 30;

/** Jobs of one host, as its service has them. */
class Host {
  readonly id = randomUUID();
  private constructor(
    readonly source: DataSource,
    readonly storage: OpenJobStorage,
    readonly jobs: Jobs,
  ) {}

  static async start(
    database: TestDatabase,
    run: RunJob,
    {
      limits = { concurrency: 2 },
      terms = SHORT_LEASES,
      vaults,
    }: { limits?: JobsOptions; terms?: LeaseTerms; vaults?: HeldVaults },
  ): Promise<Host> {
    const source = await openCatalog(database);
    const id = randomUUID();
    const storage = await openJobStorage(
      source,
      database,
      terms,
      vaults && holding(source, id, vaults),
    );
    const environment = { hostId: id, clock: new SystemClock(), log: new SilentLog() };
    const jobs = new Jobs(storage, environment, limits);
    jobs.register('backup', run, backupNeeds);
    jobs.register('prune', run, vaultNeeds('prune'));
    await jobs.recover();
    jobs.begin();
    return Object.assign(new Host(source, storage, jobs), { id });
  }

  async stop(): Promise<void> {
    await this.jobs.close();
    await this.storage[Symbol.asyncDispose]();
    await this.source.destroy();
  }
}

/** What a host can do that has these vaults, as its service has it. */
function holding(source: DataSource, id: string, vaults: HeldVaults): VaultHosts {
  const registered = {
    list: async () => new VaultRegistrations(source).list(),
    hasKey: async (vaultId: string) => vaultId in vaults,
    credentialsOf: async (vaultId: string) => (vaults[vaultId] ?? []).map((role) => ({ role })),
  };
  return new VaultHosts(source, registered, { id, name: id.slice(0, 8) }, new SystemClock());
}

/** Writes the row of a host, as its look at its VMs does. */
async function seen(
  { id, source }: Host,
  { lastSeenMs = new SystemClock().nowMs(), vmId }: { lastSeenMs?: number; vmId?: string } = {},
): Promise<void> {
  const facts = { name: id.slice(0, 8), address: null, version: '1', lastSeenMs };
  const times = { firstSeenMs: 1, lastSeenMs, goneAtMs: null };
  const vm = { engine: 'fake', name: 'web', status: 'running', tags: [], ...times };
  await new InventoryRows(source).note({ id, ...facts }, () =>
    vmId === undefined ? [] : [{ ...vm, id: vmId, hostId: id }],
  );
}

async function registered(source: DataSource): Promise<string> {
  const id = randomUUID();
  const place = { name: id, location: '/v', singleWriter: false, createdAtMs: 1 };
  await new VaultRegistrations(source).add({ id, ...place });
  return id;
}

let database: TestDatabase;
let hosts: Host[] = [];
beforeAll(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  await Promise.all(hosts.map(async (host) => host.stop()));
  hosts = [];
});
afterAll(async () => {
  await database.drop();
});

async function start(run: RunJob, options: Parameters<typeof Host.start>[2] = {}): Promise<Host> {
  const host = await Host.start(database, run, options);
  hosts.push(host);
  return host;
}

async function shown(jobs: Jobs, id: string, isIt: (job: Job) => boolean): Promise<Job> {
  return new Promise((resolve) => {
    const stop = jobs.watch(id, (job) => {
      if (isIt(job)) {
        stop();
        resolve(job);
      }
    });
  });
}

const untilStopped: RunJob = async (_, { signal }) => once(new EventEmitter(), 'never', { signal });

describe('services that share a database', () => {
  it('leave jobs on a vault to one that has its key, wherever they were asked for', async () => {
    const asked = await start(async () => ({ by: 'asked' }), { vaults: {} });
    const vaultId = await registered(asked.source);
    const prune = { kind: 'prune', subject: { vaultId }, parameters: { vaultId } } as const;
    await expect(asked.jobs.start(prune)).rejects.toMatchObject({ code: 'vault.key-missing' });
    const able = await start(async () => ({ by: 'able' }), { vaults: { [vaultId]: [] } });
    await seen(asked);
    await seen(able);
    await able.storage.vaults.look();

    const { id } = await asked.jobs.start(prune);

    expect(await shown(asked.jobs, id, isFinished)).toMatchObject({ result: { by: 'able' } });
  });

  it('end a job on a vault whose key nobody has any more, and say who had it', async () => {
    const limits = { concurrency: 1, patienceMs: 300 };
    const vaults: Record<string, []> = {};
    const able = await start(untilStopped, { limits, vaults });
    const here = await start(untilStopped, { limits, vaults: {} });
    const vaultId = await registered(here.source);
    vaults[vaultId] = [];
    await seen(able);
    await able.storage.vaults.look();
    const prune = { kind: 'prune', subject: { vaultId }, parameters: { vaultId } } as const;
    const running = [await here.jobs.start(prune), await here.jobs.start(prune)];
    for (const { id } of running) {
      await shown(here.jobs, id, ({ state }) => state === 'running');
    }
    const waiting = await here.jobs.start(prune);
    await able.jobs.close();
    await seen(able, { lastSeenMs: 1 });

    expect(await shown(here.jobs, waiting.id, isFinished)).toMatchObject({
      state: 'failed',
      fault: { code: 'vault.key-missing', context: { hosts: able.id.slice(0, 8) } },
    });
  });

  it('end what waits for a host that is gone when its VM is on another one', async () => {
    const gone = await start(untilStopped, { limits: { concurrency: 1 } });
    const here = await start(untilStopped);
    const [vmId, other] = [randomUUID(), randomUUID()];
    const backup = (id: string) => ({ ...BACKUP, parameters: { vmId: id }, exclusiveKey: id });
    await seen(gone, { vmId });
    await seen(gone, { vmId: other });
    await gone.jobs.close();
    const place = { hostId: gone.id };
    const { id } = await here.jobs.start({ ...backup(vmId), place });
    const stays = await here.jobs.start({ ...backup(other), place });
    await seen(here, { vmId });

    expect(await shown(here.jobs, id, isFinished)).toMatchObject({
      state: 'interrupted',
      fault: { code: 'vm.on-other-host', context: { vm: 'web', host: here.id.slice(0, 8) } },
    });
    expect((await here.jobs.get(stays.id)).state).toBe('queued');
    const again = await here.jobs.start(backup(vmId));
    await shown(here.jobs, again.id, ({ state }) => state === 'running');
  });

  it('end a claim of their own of whose success they never heard', async () => {
    const host = await start(untilStopped);
    const job = toStored(newJob({ ...BACKUP, id: randomUUID() }, 1), BACKUP, host.id);
    const apart = await openJobStorage(host.source, database);
    // As if the answer to the transaction had been lost: the row says that it runs, nobody runs it.
    await apart.rows.add({ ...job, lane: 'apart' }, 9);
    const limits = { apart: { host: 9, all: 9, vault: 9, vm: 9 } };
    const order = { hostId: host.id, nowMs: 1, leaseMs: SHORT_LEASES.leaseMs, limits };
    const fit = async () => () => true;
    expect(await apart.claims.claim({ ...order, newToken: randomUUID, fit })).toHaveLength(1);
    const own = await host.jobs.start(BACKUP);

    expect(await shown(host.jobs, job.id, isFinished)).toMatchObject({ state: 'interrupted' });
    expect((await host.jobs.get(own.id)).state).toBe('running');
    await apart[Symbol.asyncDispose]();
  });

  it('carry a job out where it belongs, and show it everywhere', async () => {
    const runs = new EventEmitter();
    const there = await start(async (_, { report }) => {
      report({ phase: 'reading', doneBytes: 5, totalBytes: 10 });
      await once(runs, 'end');
      return { by: 'there' };
    });
    const here = await start(untilStopped);

    const { id } = await here.jobs.start({ ...BACKUP, place: { hostId: there.id } });
    const seen = await shown(here.jobs, id, ({ progress }) => progress !== undefined);
    const end = shown(here.jobs, id, isFinished);
    runs.emit('end');

    expect(seen).toMatchObject({ state: 'running', progress: { phase: 'reading', doneBytes: 5 } });
    expect(await end).toMatchObject({ state: 'succeeded', result: { by: 'there' } });
  });

  it('cancel jobs of each other, running and waiting', async () => {
    const there = await start(untilStopped, { limits: { concurrency: 1 } });
    const here = await start(untilStopped);
    const place = { hostId: there.id };
    const first = await here.jobs.start({ ...BACKUP, place });
    await shown(here.jobs, first.id, ({ state }) => state === 'running');
    const second = await here.jobs.start({ ...BACKUP, place });

    expect(await here.jobs.cancel(second.id)).toMatchObject({ state: 'cancelled' });
    expect(await here.jobs.cancel(first.id)).toMatchObject({
      state: 'cancelled',
      fault: { code: 'cancelled' },
    });
    expect((await there.jobs.get(second.id)).startedAtMs).toBeUndefined();
  });

  it('never do more at once than they may together', async () => {
    const busy = { all: 0, vault: new Map<string, number>(), most: 0, mostOfVault: 0 };
    const limits = { concurrency: 3, allHosts: 4, perVault: 2 };
    const [full, goOn] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
    const run: RunJob = async (parameters) => {
      const { vault } = parameters as { readonly vault: string };
      const ofVault = (busy.vault.get(vault) ?? 0) + 1;
      busy.vault.set(vault, ofVault);
      busy.all += 1;
      busy.most = Math.max(busy.most, busy.all);
      busy.mostOfVault = Math.max(busy.mostOfVault, ofVault);
      if (busy.all === limits.allHosts) {
        full.resolve(undefined);
      }
      await goOn.promise;
      await new Promise(setImmediate);
      busy.all -= 1;
      busy.vault.set(vault, (busy.vault.get(vault) ?? 0) - 1);
      return {};
    };
    const all = [
      await start(run, { limits }),
      await start(run, { limits }),
      await start(run, { limits }),
    ];
    const ends = all.flatMap((host) =>
      Array.from({ length: 16 }, async (_, number) => {
        const vault = number % 4 === 0 ? 'first' : 'second';
        const job = { ...BACKUP, subject: { vaultId: vault }, parameters: { vault } };
        const { id } = await host.jobs.start(number % 2 ? job : { ...job, place: 'any-host' });
        return shown(host.jobs, id, isFinished);
      }),
    );

    // The first ones stay until each host has been refused one more.
    await full.promise;
    for (const { id, storage } of all) {
      const fit = async () => () => true;
      const order = { hostId: id, nowMs: 1, leaseMs: 1, newToken: randomUUID, fit };
      expect(await storage.claims.claim({ ...order, limits: laneLimits(limits) })).toEqual([]);
    }
    goOn.resolve(undefined);
    const states = (await Promise.all(ends)).map(({ state }) => state);

    expect(new Set(states)).toEqual(new Set(['succeeded']));
    expect(busy.most).toBe(4);
    expect(busy.mostOfVault).toBe(2);
  });

  it('end what a service that is gone ran, once its lease is over, and go on with what waits', async () => {
    const gone = await start(untilStopped, { limits: { concurrency: 1 } });
    const { id } = await gone.jobs.start(BACKUP);
    await shown(gone.jobs, id, ({ state }) => state === 'running');
    const waiting = await gone.jobs.start({ ...BACKUP, place: 'any-host' });
    // As if its process had ended: nobody renews.
    await gone.storage.leases[Symbol.asyncDispose]();
    const here = await start(untilStopped);

    await shown(here.jobs, waiting.id, ({ state }) => state === 'running');
    expect((await here.storage.rows.get(waiting.id))?.claimedBy).toBe(here.id);
    expect(await shown(here.jobs, id, isFinished)).toMatchObject({
      state: 'interrupted',
      fault: { code: 'job.interrupted' },
    });
    const live = shown(gone.jobs, id, isFinished);
    await gone.jobs.cancel(id);
    await live;
    expect((await here.jobs.get(id)).state).toBe('interrupted');
  });

  it(`let a job run that takes ${String(LEASES)} leases, in one attempt`, async () => {
    const runs = new EventEmitter();
    const there = await start(async () => once(runs, 'end'));
    const here = await start(untilStopped);
    const { id } = await there.jobs.start(BACKUP);
    await shown(here.jobs, id, ({ state }) => state === 'running');
    const token = (await here.storage.rows.get(id))?.token;

    const startMs = performance.now();
    for (let looked = 0; performance.now() - startMs < LEASES * SHORT_LEASES.leaseMs; looked++) {
      expect((await here.storage.rows.get(id))?.token).toBe(token);
    }
    const end = shown(here.jobs, id, isFinished);
    runs.emit('end');

    expect((await end).state).toBe('succeeded');
  });

  it('end their process when its main loop turns no more', async () => {
    const source = await openCatalog(database);
    const storage = await openJobStorage(source, database);
    const hostId = randomUUID();
    const id = randomUUID();
    await storage.rows.add(toStored(newJob({ ...BACKUP, id }, 1), BACKUP, hostId), 9);
    const [job] = await storage.claims.claim({
      ...{ hostId, nowMs: 1, leaseMs: SHORT_LEASES.leaseMs, newToken: randomUUID },
      ...{ limits: laneLimits({ concurrency: 1 }), fit: async () => () => true },
    });

    const child = spawn(process.execPath, [BLOCKED, database.url, id, job?.token ?? ''], {
      stdio: 'inherit',
    });
    const end = await once(child, 'exit');
    const here = await start(untilStopped);
    const shownEnd = await shown(here.jobs, id, isFinished);
    await storage[Symbol.asyncDispose]();
    await source.destroy();

    expect(end).toEqual([null, 'SIGKILL']);
    expect(shownEnd).toMatchObject({ state: 'interrupted' });
  });

  it('give a job up that stands still, and say so', async () => {
    const terms = { ...SHORT_LEASES, leaseMs: 60_000, standstillMs: 600 };
    const host = await start(untilStopped, { terms });
    const { id } = await host.jobs.start(BACKUP);

    expect(await shown(host.jobs, id, isFinished)).toMatchObject({ state: 'interrupted' });
  });
});
