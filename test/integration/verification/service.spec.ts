import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { glob, mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JobList, type Job } from '../../../src/api/contract/jobs.ts';
import { PointList, type Point } from '../../../src/api/contract/points.ts';
import { ProtectionStatus } from '../../../src/api/contract/policies.ts';
import { RunList } from '../../../src/api/contract/policy/runs.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { HandClock } from '../../support/schedule/hand-clock.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { TestService } from '../../support/service/service.ts';

const POLICY =
  'name: p\nselector: { all: true }\nvault: main\nschedule: { every: 1d }\nretention: { last: 1 }\n';

let engine: FakeEngine;
let service: TestService;
let folder: string;
let vm: string;
const clock = new HandClock(new Date().toISOString());

beforeAll(async () => {
  engine = new FakeEngine();
  service = await TestService.start(engine, { VERIFY_NEW_POINTS: 'on' }, clock);
  folder = await mkdtemp(join(tmpdir(), 'hk-verification-'));
  const place = ['--location', join(folder, 'vault'), '--recovery-file', join(folder, 'recovery')];
  await done('vault', 'create', 'main', ...place);
  const disk = { id: randomUUID(), name: 'system', path: '/d/s.raw', format: 'raw' };
  const disks = [{ ...disk, sizeBytes: 4 * MiB }];
  const definition = VmDefinition.parse({ id: randomUUID(), name: 'web', disks });
  vm = definition.id;
  await engine.add(definition, new AbortController().signal);
  await apply(POLICY);
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

async function apply(policy: string): Promise<void> {
  await writeFile(join(folder, 'p.yaml'), policy);
  await done('apply', '-f', 'p.yaml', '--yes');
}

/** Takes a point while nothing is verified. */
async function newPoint(seed: string): Promise<Point> {
  clock.wrong = 'nothing is verified before the test says so';
  engine.write(vm, 'system', 0, seededBytes(seed, MiB));
  await done('backup', 'web', '--wait');
  const point = (await points()).at(-1);
  clock.wrong = undefined;
  assert(point !== undefined);
  return point;
}

async function points(): Promise<Point[]> {
  return PointList.parse((await service.get('/points')).body).points;
}

async function point(id: string): Promise<Point | undefined> {
  return (await points()).find((each) => each.id === id);
}

/** Lets one verification begin and end. */
async function verified(): Promise<Job | undefined> {
  const earlier = (await proofs()).map(({ id }) => id);
  for (const id of earlier) {
    await service.ended(id);
  }
  const before = new Set(earlier);
  await service.verifies();
  const started = (await proofs()).find(({ id }) => !before.has(id));
  const job = started && (await service.ended(started.id));
  await service.verifies();
  return job;
}

async function proofs(): Promise<Job[]> {
  return JobList.parse((await service.get('/jobs?kind=prove')).body).jobs;
}

/** Flips a byte of the youngest object of content. */
async function damage(): Promise<void> {
  const found: { path: string; ms: number; bytes: number }[] = [];
  for await (const name of glob('vault/d/**', { cwd: folder })) {
    const path = join(folder, name);
    const { mtimeMs, size, isFile } = await facts(path);
    if (isFile) {
      found.push({ path, ms: mtimeMs, bytes: size });
    }
  }
  const { path = '', bytes = 0 } = found.sort((a, b) => b.ms - a.ms)[0] ?? {};
  await using file = await open(path, 'r+');
  const at = Math.floor(bytes / 3);
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  await file.write(Buffer.from([buffer.readUInt8() ^ 1]), 0, 1, at);
}

async function facts(path: string) {
  const { mtimeMs, size, ...more } = await stat(path);
  return { mtimeMs, size, isFile: (more.mode & 0o170_000) === 0o100_000 };
}

async function status(): Promise<ProtectionStatus> {
  return ProtectionStatus.parse((await service.get('/protection')).body);
}

describe('a new point', () => {
  it('is verified once, and says by whom, when and how far', async () => {
    const { id } = await newPoint('first');
    expect(await done('points', 'show', id)).toContain('not yet');

    const job = await verified();

    expect(job).toMatchObject({ state: 'succeeded', vmName: 'web', actor: 'service' });
    expect(job?.result).toMatchObject({ kind: 'verify', pointId: id, level: 1, addedLevel: 2 });
    const { check } = (await point(id)) ?? {};
    expect(check).toMatchObject({ level: 1, addedLevel: 2, by: expect.any(String) as string });
    expect(await done('points', 'show', id)).toMatch(/by .+: level 1, level 2 of what it added/);
    expect(await done('points', 'list')).toContain('new content, ');
    expect(await verified()).toBeUndefined();
    expect(await service.rows('verification_run')).toMatchObject([
      { point_id: id, state: 'whole', attempt: 1 },
    ]);
  });

  it('is verified after a service that died before it began, or while it ran', async () => {
    const { id } = await newPoint('second');
    await service.verifies();
    clock.wrong = 'nothing is verified before the rows are those of a dead service';
    await service.restart();
    await service.sql(
      `UPDATE verification_run SET state = 'running', job_id = gen_random_uuid() WHERE point_id = '${id}'`,
    );
    clock.wrong = undefined;

    await verified();

    expect((await point(id))?.check).toMatchObject({ addedLevel: 2 });
    expect(await service.rows(`verification_run WHERE point_id = '${id}'`)).toMatchObject([
      { state: 'whole' },
    ]);
  });

  it('that was given up meanwhile is not verified', async () => {
    const { id } = await newPoint('third');
    await done('points', 'retire', id, '--yes');
    expect(await verified()).toBeUndefined();
    expect(await service.rows(`verification_run WHERE point_id = '${id}'`)).toEqual([]);
  });
});

describe('a policy with a verification', () => {
  it('has the newest point verified when it is due, and what was missed once', async () => {
    await apply(`${POLICY}verification: { every: 7d, level: 3 }\n`);
    const newest = (await points()).at(-1)?.id ?? '';

    expect(await verified()).toMatchObject({ result: { pointId: newest, level: 3 } });
    expect((await point(newest))?.check).toMatchObject({ level: 3 });
    expect(await verified()).toBeUndefined();

    clock.pass(20 * 24 * 60);
    expect(await verified()).toMatchObject({ state: 'succeeded', result: { level: 3 } });
    expect(await verified()).toBeUndefined();
    clock.pass(-20 * 24 * 60);
    await apply(POLICY);
  });
});

describe('a pack that is damaged between the seal and the verification', () => {
  it('is found, told by the status and the run, and nothing of the VM is given up', async () => {
    await done('policy', 'run', 'p');
    await verified();
    const { id } = await newPoint('damaged');
    await service.sql(`UPDATE run SET point_id = '${id}'`);
    await damage();

    const job = await verified();

    expect(job).toMatchObject({ state: 'failed', fault: { code: 'point.damaged' } });
    const { ok, verification } = await status();
    expect(ok).toBe(false);
    expect(verification.damaged).toMatchObject([{ vault: 'main', vmName: 'web', pointId: id }]);
    const { exitCode, stdout } = await cli('status');
    expect([exitCode, stdout]).toEqual([1, expect.stringContaining(`DAMAGED: the point ${id}`)]);
    const { runs } = RunList.parse((await service.get('/runs')).body);
    expect(runs[0]).toMatchObject({ pointId: id, verification: { state: 'damaged' } });

    expect(await done('runs')).toContain('its point is DAMAGED');

    const count = (await points()).length;
    await service.sql('UPDATE "retention_look" SET "at_ms" = 0');
    await service.decide();
    const { jobs } = JobList.parse((await service.get('/jobs?kind=retain')).body);
    const { result } = await service.ended(jobs[0]?.id ?? '');
    expect(result).toMatchObject({ retired: 0, blocked: 1 });
    expect(await points()).toHaveLength(count);
  });
});
