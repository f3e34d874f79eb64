import { mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CareList, CareRunList, type CareRun } from '../../../src/api/contract/policy/care.ts';
import { ProtectionStatus } from '../../../src/api/contract/policies.ts';
import { JobList } from '../../../src/api/contract/jobs.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { HandClock } from '../../support/schedule/hand-clock.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { TestService } from '../../support/service/service.ts';

const HOUR_MIN = 60;
const clock = new HandClock(new Date().toISOString());

let engine: FakeEngine;
let service: TestService;
let folder: string;
let vmId: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-care-'));
  engine = new FakeEngine();
  service = await TestService.start(engine, {}, clock);
  const path = join(folder, 'web.raw');
  await writeFile(path, '');
  await truncate(path, 24 * MiB);
  const disks = [{ name: 'system', path, format: 'raw' }];
  const { body } = await service.post('/vms', { name: 'web', disks, nics: [] });
  vmId = (body as { id: string }).id;
  await service.post('/vms/web/start');
  await done('vault', 'create', 'main', '--location', 'main');
});
afterAll(async () => {
  await service.remove();
  await rm(folder, { recursive: true });
});

async function cli(...parameters: string[]): Promise<CliRun> {
  const { home: homeFolder } = service;
  const environment = { readSettings: () => ({ homeFolder }) };
  return cliRun(parameters, { folder, passphrase: 'correct horse battery staple', environment });
}

/** The output of a command that must succeed. */
async function done(...parameters: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await cli(...parameters);
  expect([stderr, exitCode]).toEqual([expect.any(String), 0]);
  return stdout;
}

async function apply(care: string, retention = '{ last: 1 }', copies = ''): Promise<string> {
  const policy = `  - name: p\n    selector: { all: true }\n    vault: main\n    schedule: { every: 30d }\n    retention: ${retention}\n${copies}`;
  await writeFile(join(folder, 'p.yaml'), `policies:\n${policy}care:\n${care}`);
  return done('apply', '-f', 'p.yaml');
}

const place = (): string => join(folder, 'copy');
const care = (more = ''): string => `  - vault: main
    prune: { schedule: { every: 4h } }
    scrub: { schedule: { every: 4h }, parts: 1 }
    copies:
      - { name: offsite, location: "${place()}", within: 3h${more} }
`;

async function takePoint(seed: string): Promise<void> {
  engine.write(vmId, 'system', 2 * MiB, seededBytes(seed, 4 * MiB));
  await done('policy', 'run', 'p');
}

/** Lets time pass until what is due has ended. @returns runs that were not skipped, newest first */
async function pass(hours: number): Promise<CareRun[]> {
  clock.pass(hours * HOUR_MIN);
  for (;;) {
    await service.care();
    const { body } = await service.get('/jobs?limit=20');
    const open = JobList.parse(body).jobs.filter(({ state }) => /queued|running/.test(state));
    for (const { id } of open) {
      await service.ended(id);
    }
    await service.care();
    const { runs } = CareRunList.parse((await service.get('/care-runs')).body);
    const isWaiting = ({ state }: CareRun): boolean => state === 'queued' || state === 'running';
    const { body: later } = await service.get('/jobs?limit=20');
    const isQuiet = JobList.parse(later).jobs.every(({ state }) => !/queued|running/.test(state));
    const startable = runs.some(
      ({ state, nextTryAtMs = 0, attempt }) =>
        state === 'due' && nextTryAtMs <= clock.nowMs() && attempt === 0,
    );
    if (!runs.some(isWaiting) && isQuiet && !startable) {
      return runs.filter(({ state }) => state !== 'skipped');
    }
  }
}

const status = async (): Promise<ProtectionStatus> =>
  ProtectionStatus.parse((await service.get('/protection')).body);

const copyState = async () => {
  const { tasks } = CareList.parse((await service.get('/care?vault=main')).body);
  return tasks.find(({ task }) => task === 'copy offsite');
};

async function packBytes(of: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(join(of, 'd'), { recursive: true, withFileTypes: true })) {
    sum += entry.isFile() ? (await readFile(join(entry.parentPath, entry.name))).length : 0;
  }
  return sum;
}

describe('the care of a vault by itself', () => {
  it('is described with policies, planned, exported, and has a history', async () => {
    expect(await done('care', 'list')).toMatch(/main +prune +0 3 \* \* sun UTC \(default\)/);
    expect(await apply(care())).toContain('+ care of main: new');
    await service.care();
    await writeFile(join(folder, 'p.yaml'), await done('policy', 'export'));
    expect(await done('apply', '-f', 'p.yaml')).toContain('0 new, 0 changed');
    const plan = await cli('policy', 'diff', '-f', await other(care(', readBack: true')));
    expect(plan.stdout).toMatch(/~ care of main: changed\n +copies: /);
    expect(await done('care', 'history', 'main')).toMatch(/local +1 +created/);

    const wrong = await cli('apply', '-f', await other('  - { vault: nowhere, never: [keep] }\n'));
    expect(wrong.stderr).toMatch(/other.yaml:2:14: vault: no vault nowhere is registered/);
    const unknown =
      'policies:\n  - { name: q, selector: { all: true }, vault: main, schedule: { every: 1d }, copies: [{ vault: away }] }\n';
    const bad = await cli('apply', '-f', await file(unknown));
    expect(bad.stderr).toContain('main has no copy away (offsite)');
  });

  it('keeps the copy up to date, and says how far it is behind', async () => {
    await takePoint('one');
    expect((await copyState())?.copy).toMatchObject({ points: 1, isLate: false });
    expect((await status()).copies).toMatchObject([{ vault: 'main', copy: 'offsite', points: 1 }]);
    expect((await copyState())?.copy?.bytes).toBeGreaterThan(3 * MiB);

    const runs = await pass(4);
    expect(runs.map(({ task, state }) => [task, state]).sort()).toEqual([
      ['copy offsite', 'done'],
      ['prune', 'done'],
      ['scrub', 'done'],
    ]);
    expect((await copyState())?.copy).toMatchObject({ points: 0, bytes: 0, seconds: 0 });
    expect((await readdir(place())).sort()).toEqual(expect.arrayContaining(['d', 's']));
    expect(await done('vault', 'show', 'main')).toMatch(/copy offsite .*copy: has every point/);
    expect(await done('care', 'runs')).toMatch(/main +copy offsite +done +1/);
    expect((await status()).ok).toBe(true);
  });

  it('says once that a copy cannot follow and why, and takes it back when it does', async () => {
    const moved = `${place()}-gone`;
    await rename(place(), moved);
    await writeFile(place(), 'a file where the copy was');
    await takePoint('two');
    const [first] = await pass(4);
    expect(first).toMatchObject({ task: expect.any(String) as unknown });
    const { trouble } = (await copyState()) ?? {};
    expect(trouble?.text).toMatch(/copy/);
    const bad = await status();
    expect(bad.ok).toBe(false);
    expect(bad.care).toMatchObject([{ vault: 'main', task: 'copy offsite' }]);
    expect(bad.copies).toMatchObject([{ points: 1, isLate: true }]);
    expect((await cli('status')).stdout).toMatch(
      /Copy offsite of main LATE: lacks 1 point, [\d.]+ MiB/,
    );

    await rm(place());
    await rename(moved, place());
    await pass(4);
    expect((await copyState())?.trouble).toBeUndefined();
    expect((await status()).copies).toMatchObject([{ points: 0, isLate: false }]);
    expect((await status()).care).toEqual([]);
  });

  it('gives up what retention does not keep, then frees its space, in the copy too', async () => {
    await takePoint('three');
    await pass(4);
    // The newest verified point stays until a scrub has read a newer one.
    await pass(4);
    const { body } = await service.get('/points');
    expect((body as { points: unknown[] }).points).toHaveLength(1);
    const before = [await packBytes(join(folder, 'main')), await packBytes(place())];
    expect(before[0]).toBeGreaterThan(11 * MiB);
    // As if the packs were older than a day and known for one.
    await done('vault', 'prune', 'main', '--young', '0', '--all-points-are-listed', '--yes');
    await pass(4);
    expect(await packBytes(join(folder, 'main'))).toBeLessThan(6 * MiB);
    expect(await packBytes(place())).toBeLessThan(6 * MiB);
  });

  it('does a task when somebody asks, and shows who', async () => {
    expect(await done('care', 'run', 'main', 'scrub')).toContain('The scrub of main begins.');
    const [run] = await pass(0);
    expect(run).toMatchObject({ task: 'scrub', state: 'done', actor: 'local' });
    expect((await cli('care', 'run', 'main', 'polish')).stderr).toContain('care.unknown');
  });
});

async function other(text: string): Promise<string> {
  return file(`care:\n${text}`);
}

async function file(text: string): Promise<string> {
  await writeFile(join(folder, 'other.yaml'), text);
  return 'other.yaml';
}
