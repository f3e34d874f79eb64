import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isFinished, Job } from '../../../src/api/contract/jobs.ts';
import { PointList, type Point } from '../../../src/api/contract/points.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { TestService } from '../../support/service/service.ts';

const DISK_BYTES = 24 * MiB;
const PASSPHRASE = 'correct horse battery staple';
const RETENTION = 'another horse and its battery';

let engine: FakeEngine;
let service: TestService;
let folder: string;
let vmId: string;
let vaults = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-upkeep-'));
  engine = new FakeEngine();
  service = await TestService.start(engine);
  const path = join(folder, 'web.raw');
  await writeFile(path, '');
  await truncate(path, DISK_BYTES);
  const disks = [{ name: 'system', path, format: 'raw' }];
  const { body } = await service.post('/vms', { name: 'web', disks, nics: [] });
  vmId = (body as { id: string }).id;
  await service.post('/vms/web/start');
});
afterAll(async () => {
  await service.remove();
  await rm(folder, { recursive: true });
});

/** The command line of somebody on the service's host. */
async function cli(...parameters: string[]): Promise<CliRun> {
  return await cliWith({}, ...parameters);
}

async function cliWith(
  secrets: { readonly retentionPassphrase?: string },
  ...parameters: string[]
): Promise<CliRun> {
  const { home: homeFolder } = service;
  return await cliRun(parameters, {
    folder,
    passphrase: PASSPHRASE,
    ...secrets,
    environment: { readSettings: () => ({ homeFolder }) },
  });
}

async function document(...parameters: string[]): Promise<unknown> {
  const { stdout } = await cli(...parameters, '--json');
  return JSON.parse(stdout);
}

/** A vault with `count` points of 4 MiB of their own. */
async function vaultWithPoints(count: number): Promise<{ vault: string; ids: string[] }> {
  const vault = `v${String((vaults += 1))}`;
  const { exitCode, stderr } = await cli('vault', 'create', vault, '--location', vault);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  for (let index = 0; index < count; index++) {
    engine.write(vmId, 'system', 2 * MiB, seededBytes(`${vault} ${String(index)}`, 4 * MiB));
    expect(await cli('backup', 'web', '--vault', vault)).toMatchObject({ exitCode: 0 });
  }
  return { vault, ids: (await points(vault)).map(({ id }) => id) };
}

async function points(vault: string): Promise<readonly Point[]> {
  return PointList.parse(await document('points', '--vault', vault)).points;
}

/** On its first day a service removes nothing unless it is told that no point is missing. */
const LISTED = ['--young', '0', '--all-points-are-listed'];

describe('vault create and probe', () => {
  it('say what the store can do, and keep it in the vault', async () => {
    const created = await cli('vault', 'create', 'tried', '--location', 'tried');
    const probes = async () =>
      (await readdir(join(folder, 'tried', 'probe'))).filter((name) => !name.startsWith('try-'))
        .length;
    const before = await probes();
    const probed = await cli('vault', 'probe', 'tried');

    for (const { exitCode, stdout } of [created, probed]) {
      expect(exitCode).toBe(0);
      expect(stdout).toMatch(/THE STORE +DOES +NEEDED FOR +SEEN/);
      expect(stdout).toMatch(/lists in order, whole at page borders +yes +every vault/);
    }
    expect([before, await probes()]).toEqual([1, 2]);
    expect(await document('jobs', '--kind', 'probe', '--limit', '1')).toMatchObject({
      jobs: [{ state: 'succeeded', vaultName: 'tried', result: { trial: { leftovers: 0 } } }],
    });
  });
});

describe('the care of a vault', () => {
  it('shows what points take, when they were proven, and that damage is found and mended', async () => {
    const { vault, ids } = await vaultWithPoints(2);
    const [first = '', second = ''] = ids;

    const usage = await cli('vault', 'usage', vault);
    expect(usage.stdout).toMatch(new RegExp(`${first} .*web .*6.0 MiB|${first} .*web`));
    expect(usage.stdout).toMatch(/DEDUP +COMPRESSION/);

    expect((await cli('points', '--vault', vault)).stdout).toMatch(/LAST PROVEN.*\n.*never/);
    expect(await cli('verify', first, '--vault', vault, '--level', '1')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('the content itself was not read') as unknown,
    });
    expect((await points(vault))[0]).not.toHaveProperty('provenAtMs');
    expect(await cli('verify', first, '--vault', vault)).toMatchObject({ exitCode: 0 });
    expect((await points(vault)).map((point) => 'provenAtMs' in point)).toEqual([true, false]);

    const capped = await cli('vault', 'scrub', vault, '--all', '--max-requests', '3');
    expect(capped).toMatchObject({ exitCode: 6 });
    expect(capped.stderr).toContain('budget.reached');
    const scrubbed = await cli('vault', 'scrub', vault, '--all');
    expect(scrubbed).toMatchObject({ exitCode: 0 });
    expect(scrubbed.stdout).toContain(`${second} of web: last proven`);
    expect(scrubbed.stdout).toMatch(/\d+ GET/);
    expect((await points(vault)).every((point) => 'provenAtMs' in point)).toBe(true);

    expect(await cli('vault', 'copy', vault, `${vault}-copy`)).toMatchObject({ exitCode: 0 });
    await damageOnePack(join(folder, vault, 'd'));
    const found = await cli('vault', 'scrub', vault, '--all');
    expect(found).toMatchObject({ exitCode: 9 });
    expect(found.stderr).toMatch(/d\/\S+: .*slots lost/);
    expect(found.stderr).toContain('vault.damage-found');
    expect((await cli('points', '--vault', vault)).stdout).toContain('DAMAGED');

    const repair = ['vault', 'repair', vault, '--copy', `${vault}-copy`];
    expect((await cli(...repair, '--dry-run')).stdout).toContain('Nothing was changed.');
    expect(await cli(...repair)).toMatchObject({ exitCode: 2 });
    expect((await cli(...repair, '--yes')).stdout).toMatch(/rewritten, \d+ slots healed, 0 lost/);
    expect(await cli('verify', first, '--vault', vault)).toMatchObject({ exitCode: 0 });
    expect(await cli('vault', 'scrub', vault, '--all')).toMatchObject({ exitCode: 9 });
  });

  it('gives points up, keeps those that are held, and gives the space back', async () => {
    const { vault, ids } = await vaultWithPoints(3);
    const [first = '', second = '', third = ''] = ids;

    expect(await cli('points', 'hold', first, '--vault', vault, '--reason', 'court')).toMatchObject(
      {
        exitCode: 0,
      },
    );
    expect((await points(vault))[0]?.holds).toMatchObject([{ reason: 'court' }]);
    expect((await cli('points', 'hold', '--vault', vault)).stdout).toContain('court');
    const refused = await cli('points', 'retire', first, second, '--vault', vault, '--yes');
    expect(refused).toMatchObject({ exitCode: 5 });
    expect(refused.stderr).toContain('vault.point-held');
    expect((await points(vault)).length).toBe(3);

    const dry = await cli('points', 'retire', second, '--vault', vault, '--dry-run');
    expect(dry.stdout).toMatch(/ALONE NEEDS[^]*Then nothing needs about [\d.]+ MiB/);
    expect(await cli('points', 'retire', second, '--vault', vault)).toMatchObject({ exitCode: 2 });
    const few = await cli('points', 'retire', second.slice(0, 3), '--vault', vault, '--yes');
    expect(few).toMatchObject({ exitCode: 4 });
    expect(await cli('points', 'retire', second, '--vault', vault, '--yes')).toMatchObject({
      exitCode: 0,
    });
    expect((await points(vault)).map(({ id }) => id)).toEqual([first, third]);
    const again = await cli('points', 'retire', second, '--vault', vault, '--yes');
    expect(again).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('given up before') as unknown,
    });

    expect((await cli('points', 'revive', '--vault', vault)).stdout).toContain(second);
    const revived = await cli('points', 'revive', second, '--vault', vault);
    expect(revived).toMatchObject({ exitCode: 0 });
    // It keeps its place: what is newest stays so.
    const [, back, newest] = await points(vault);
    expect(newest?.id).toBe(third);
    expect(await cli('points', 'retire', back?.id ?? '', '--vault', vault, '--yes')).toMatchObject({
      exitCode: 0,
    });

    const size = await bytesIn(join(folder, vault));
    const copy = ['vault', 'copy', vault, `${vault}-other`];
    expect(await cli(...copy)).toMatchObject({ exitCode: 0 });
    expect(await cli('points', 'list', '--vm', 'nope')).toMatchObject({ exitCode: 4 });
    const plan = await cli('vault', 'prune', vault, '--young', '0', '--dry-run');
    expect(plan.stdout).toMatch(
      /2 recovery points given up[^]*GET, .*DELETE[^]*Nothing was changed/,
    );
    expect(await cli('vault', 'prune', vault, ...LISTED)).toMatchObject({ exitCode: 2 });
    expect(await bytesIn(join(folder, vault))).toBe(size);
    const pruned = await cli('vault', 'prune', vault, ...LISTED, '--yes');
    expect(pruned).toMatchObject({ exitCode: 0 });
    expect(pruned.stdout).toMatch(/Freed 4\.\d+ MiB/);
    expect(await bytesIn(join(folder, vault))).toBeLessThan(size - 3 * MiB);
    for (const id of [first, third]) {
      expect(await cli('verify', id, '--vault', vault)).toMatchObject({ exitCode: 0 });
    }
    expect((await cli('points', 'revive', '--vault', vault)).stdout).toContain('No recovery point');
    expect((await cli(...copy)).stdout).not.toContain('Removed');
    expect(await bytesIn(join(folder, `${vault}-other`))).toBeGreaterThan(size - MiB);
    expect(await cli(...copy, '--prune')).toMatchObject({ exitCode: 2 });
    const planned = await cli(...copy, '--prune', '--dry-run');
    expect(planned.stdout).toMatch(/Would remove 2 recovery points .* packs?, 4\.\d+ MiB from/);
    const follows = await cli(...copy, '--prune', '--yes');
    expect(follows.stdout).toMatch(/Removed 2 recovery points .* packs?, 4\.\d+ MiB from the copy/);
    expect(await packsIn(join(folder, `${vault}-other`))).toEqual(
      await packsIn(join(folder, vault)),
    );

    expect(await cli('points', 'release', first, '--vault', vault, '--yes')).toMatchObject({
      exitCode: 0,
    });
    expect((await points(vault))[0]?.holds).toEqual([]);
    expect(await cli('vault', 'keep', vault)).toMatchObject({ exitCode: 2 });
  });

  it('stops on cancel and at the end of the service, and is one of a kind per vault', async () => {
    const { vault, ids } = await vaultWithPoints(2);
    await cli('points', 'retire', ids[0] ?? '', '--vault', vault, '--yes');
    const rules = { youngMs: 0, allPointsAreListed: true };
    const wait = { dryRun: false, ...rules, graceMs: 3_600_000 };

    const waiting = await started(vault, 'prune', wait);
    const second = await service.post(`/vaults/${vault}/prune`, wait);
    const planned = await service.run(`/vaults/${vault}/prune`, { dryRun: true, youngMs: 0 });
    const cancelled = await service.post(`/jobs/${waiting}/cancel`);
    expect(second).toMatchObject({ status: 409, body: { title: 'job.conflict' } });
    expect(planned).toMatchObject({ state: 'succeeded' });
    expect(cancelled).toMatchObject({ body: { state: 'cancelled' } });

    const to = { location: join(folder, `${vault}-slow`) };
    const rateLimits = { windows: [{ from: '00:00', to: '00:00', bytesPerSecond: 1000 }] };
    const copying = await started(vault, 'copy', { dryRun: false, to, rateLimits });
    expect(await service.post(`/jobs/${copying}/cancel`)).toMatchObject({
      body: { state: 'cancelled' },
    });
    expect(await service.run(`/vaults/${vault}/copy`, { dryRun: false, to })).toMatchObject({
      state: 'succeeded',
      result: { report: { points: 2, damaged: [] } },
    });

    const left = await started(vault, 'prune', wait);
    await service.restart();
    expect(await service.get(`/jobs/${left}`)).toMatchObject({ body: { state: 'interrupted' } });
    expect(await cli('vault', 'prune', vault, ...LISTED, '--yes')).toMatchObject({
      exitCode: 0,
    });
    expect(await cli('verify', ids[1] ?? '', '--vault', vault)).toMatchObject({ exitCode: 0 });
  });

  it('needs the passphrase of a separate retention key to give a point up, and keeps it nowhere', async () => {
    const retentionPassphrase = RETENTION;
    await cliWith(
      { retentionPassphrase },
      ...['vault', 'create', 'strict', '--location', 'strict', '--separate-retention-key'],
    );
    await cli('backup', 'web', '--vault', 'strict');
    const [point] = await points('strict');
    const retire = ['points', 'retire', point?.id ?? '', '--vault', 'strict', '--yes'];

    const without = await cli(...retire);
    const wrong = await cliWith({ retentionPassphrase: 'not that one at all' }, ...retire);
    const right = await cliWith({ retentionPassphrase }, ...retire);

    expect(without).toMatchObject({ exitCode: 3 });
    expect(without.stderr).toContain('vault.retention-key-missing');
    expect(wrong).toMatchObject({ exitCode: 3 });
    expect(right).toMatchObject({ exitCode: 0 });
    const stored = JSON.stringify([await service.rows('job'), await service.rows('vault')]);
    expect(stored).not.toContain(RETENTION);
  });
});

/** A job that has begun its work. */
async function started(vault: string, what: string, body: object): Promise<string> {
  const { id } = Job.parse((await service.post(`/vaults/${vault}/${what}`, body)).body);
  for await (const { progress, ...job } of service.events(id)) {
    if (isFinished(job)) {
      throw new Error(`it ended: ${JSON.stringify(job)}`);
    }
    if (progress !== undefined) {
      break;
    }
  }
  return id;
}

async function bytesIn(place: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(place, { recursive: true, withFileTypes: true })) {
    sum += entry.isFile() ? (await readFile(join(entry.parentPath, entry.name))).length : 0;
  }
  return sum;
}

async function packsIn(place: string): Promise<string[]> {
  const paths = await readdir(place, { recursive: true });
  return paths.filter((path) => /^[dms]\/.+\//.test(path)).sort();
}

/** Flips a byte in a frame of the oldest pack under `prefix`. */
async function damageOnePack(prefix: string): Promise<void> {
  const entries = await readdir(prefix, { recursive: true, withFileTypes: true });
  const [name = ''] = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const content = await readFile(name);
  const at = Math.floor(content.length / 3);
  content.writeUInt8(content.readUInt8(at) ^ 0xff, at);
  await rm(name);
  await writeFile(name, content);
}
