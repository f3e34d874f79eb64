import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Job } from '../../../src/api/contract/jobs.ts';
import type { Point } from '../../../src/api/contract/points.ts';
import type { VaultSummary } from '../../../src/api/contract/vaults.ts';
import type { Vm } from '../../../src/api/contract/vms.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { TestService } from '../../support/service/service.ts';

const PASSPHRASE = 'correct horse battery staple';

interface Backups {
  readonly backups: readonly {
    readonly vm: string;
    readonly job?: Job;
    readonly error?: { readonly code: string };
  }[];
}

let engine: FakeEngine;
let service: TestService;
let folder: string;
let web: Vm;
let db: Vm;
/** The newest point of each VM, in the vault `main`. */
let webPoint: Point;
let dbPoint: Point;

beforeAll(async () => {
  engine = new FakeEngine();
  service = await TestService.start(engine);
  folder = await mkdtemp(join(tmpdir(), 'hk-words-'));
  await addVault('main');
  web = await addVm('web');
  db = await addVm('db01');
  await cli('backup', 'web', 'db01');
  const points = await pointsIn('main');
  webPoint = points.find(({ vmId }) => vmId === web.id) ?? never();
  dbPoint = points.find(({ vmId }) => vmId === db.id) ?? never();
});
afterAll(async () => {
  await service.remove();
  await rm(folder, { recursive: true });
});

async function cli(...parameters: string[]): Promise<CliRun> {
  const { home: homeFolder } = service;
  return await cliRun(parameters, {
    folder,
    passphrase: PASSPHRASE,
    environment: { readSettings: () => ({ homeFolder }) },
  });
}

async function document<Document>(...parameters: string[]): Promise<Document> {
  const run = await cli(...parameters, '--json');
  expect(run).toMatchObject({ exitCode: 0 });
  return JSON.parse(run.stdout) as Document;
}

async function addVault(name: string): Promise<void> {
  const run = await cli(...['vault', 'create', name, '--location', join(folder, name)]);
  expect(run).toMatchObject({ exitCode: 0 });
}

async function addVm(name: string): Promise<Vm> {
  const path = join(folder, `${name}.raw`);
  await writeFile(path, '');
  await truncate(path, 24 * MiB);
  const disks = [{ name: 'system', path, format: 'raw' }];
  const file = join(folder, `${name}.json`);
  await writeFile(file, JSON.stringify({ name, disks }));
  const vm = await document<Vm>('vm', 'add', file);
  await cli('vm', 'start', name);
  engine.write(vm.id, 'system', MiB, seededBytes(name, MiB));
  return vm;
}

async function pointsIn(vault: string): Promise<readonly Point[]> {
  return (await document<{ points: Point[] }>('points', '--vault', vault)).points;
}

function never(): never {
  throw new Error('there is no such point');
}

describe('the beginning of an id', () => {
  it('is enough for a VM, a vault, a point and a job', async () => {
    const { vaults } = await document<{ vaults: VaultSummary[] }>('vault', 'list');
    const vaultId = vaults[0]?.id ?? '';
    const { jobs } = await document<{ jobs: Job[] }>('jobs');
    const job = jobs[0] ?? never();

    expect(await document('vm', 'show', web.id.slice(0, 8))).toMatchObject({ vm: { name: 'web' } });
    expect(await document('vault', 'show', vaultId.slice(0, 8))).toMatchObject({
      vault: { name: 'main' },
    });
    expect(await document('jobs', 'show', job.id.slice(0, 13))).toMatchObject({ id: job.id });
    expect(await document('points', '--vm-id', web.id.slice(0, 8).toUpperCase())).toMatchObject({
      points: [{ id: webPoint.id }],
    });
    const beginning = shortest(webPoint.id, dbPoint.id).toLowerCase();
    expect(await document('points', 'show', beginning)).toMatchObject({ id: webPoint.id });
    expect(await document('verify', beginning)).toMatchObject({ state: 'succeeded' });
    const to = join(folder, 'restored.raw');
    const restored = await cli('restore', beginning, '--disk', 'system', '--to', to);
    expect(restored).toMatchObject({ exitCode: 0 });
  });

  it('is asked about where several begin so, and names nothing when it is too short', async () => {
    const common = webPoint.id.slice(0, 4);

    expect(await cli('verify', common)).toMatchObject({ exitCode: 2 });
    expect((await cli('verify', common)).stderr).toContain('2 ids begin with');
    expect(await cli('vm', 'show', web.id.slice(0, 4))).toMatchObject({ exitCode: 4 });
    expect(await cli('jobs', 'show', '0000')).toMatchObject({ exitCode: 4 });
  });
});

/** Returns the shortest beginning of an id that another does not begin with. */
function shortest(id: string, other: string): string {
  let length = 0;
  while (id[length] === other[length]) {
    length += 1;
  }
  return id.slice(0, Math.max(4, length + 1));
}

describe('show', () => {
  it('says what is known of a VM, a vault and a point', async () => {
    const vm = await cli('vm', 'show', 'web');
    expect(vm.stdout).toMatch(/^VM web\n {2}id +[0-9a-f-]{36}\n {2}status +running\n/);
    expect(vm.stdout).toContain(join(folder, 'web.raw'));
    expect(vm.stdout).toContain(webPoint.id);
    expect(vm.stdout).not.toContain(dbPoint.id);

    const vault = await cli('vault', 'show', 'main');
    expect(vault.stdout).toMatch(/^Vault main\n/);
    expect(vault.stdout).toMatch(/holds +2 recovery points of 2 VMs\n/);

    const point = await cli('points', 'show', webPoint.id);
    expect(point.stdout).toMatch(/^Recovery point 01.*\n {2}VM +web \(/);
    expect(point.stdout).toMatch(/system +24.0 MiB .* whole disk \(first-backup\)/);

    expect(await cli('vm', 'show', 'nobody')).toMatchObject({ exitCode: 4 });
    expect(await cli('vault', 'show', 'nobody')).toMatchObject({ exitCode: 4 });
    expect(await cli('points', 'show', '7ZZZZZ')).toMatchObject({ exitCode: 4 });
  });
});

describe('backup of several VMs', () => {
  it('makes one job each, and goes on when one fails', async () => {
    const all = await document<Backups>('backup', '--all');
    expect(all.backups).toMatchObject([
      { vm: 'db01', job: { state: 'succeeded', vmName: 'db01' } },
      { vm: 'web', job: { state: 'succeeded', vmName: 'web' } },
    ]);

    const run = await cli('backup', 'nobody', 'web', '--json');
    expect(run.exitCode).toBe(4);
    expect(run.stderr).toContain('nobody: error engine.vm-not-found');
    const failed = JSON.parse(run.stdout) as Backups;
    expect(failed).toMatchObject({
      error: {
        code: 'engine.vm-not-found',
        message: expect.stringContaining('1 of 2 backups') as string,
      },
      backups: [
        { vm: 'nobody', error: { code: 'engine.vm-not-found' } },
        { vm: 'web', job: { state: 'succeeded' } },
      ],
    });
  });

  it('wants VMs or --all, and not both', async () => {
    expect((await cli('backup')).stderr).toContain('Say which VM to back up, or --all.');
    expect((await cli('backup', 'web', '--all')).stderr).toContain('not both');
    const queued = await cli('backup', 'web', 'db01', '--no-wait');
    expect(queued).toMatchObject({ exitCode: 0 });
    const ids = queued.stdout.match(/(?<=^Job )[0-9a-f-]{36}/gm) ?? [];
    expect(ids).toHaveLength(2);
    for (const id of ids) {
      await cli('jobs', 'show', id, '--wait');
    }
  });
});

describe('the vault of points', () => {
  it('is found when there is one, and when only one has the points', async () => {
    const planned = await cli('points', 'retire', webPoint.id, '--dry-run');
    expect(planned).toMatchObject({ exitCode: 0 });
    expect(planned.stdout).toContain('Nothing was changed.');

    await addVault('other');
    await cli('backup', 'web', '--vault', 'other');
    const [elsewhere = never()] = await pointsIn('other');
    expect(await cli('points', 'hold', elsewhere.id, '--reason', 'court')).toMatchObject({
      exitCode: 0,
    });
    expect(await cli('points', 'release', elsewhere.id, '--yes')).toMatchObject({ exitCode: 0 });
    expect(await cli('points', 'retire', elsewhere.id, '--yes')).toMatchObject({ exitCode: 0 });
    expect(await pointsIn('other')).toEqual([]);
    expect(await cli('points', 'revive', elsewhere.id)).toMatchObject({ exitCode: 0 });
    expect(await pointsIn('other')).toHaveLength(1);
  });

  it('is asked for, by the names there are, when it cannot be told', async () => {
    const unknown = await cli('points', 'hold', '7ZZZZZZZZZ');
    const latest = await cli('points', 'retire', 'latest', '--vm', 'web', '--yes');
    const none = await cli('points', 'hold');
    const backup = await cli('backup', 'web');

    for (const { exitCode, stderr } of [unknown, latest, none, backup]) {
      expect(exitCode).toBe(2);
      expect(stderr).toMatch(/vault.not-chosen: .*main, other.*--vault/);
    }
  });
});
