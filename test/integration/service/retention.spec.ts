import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JobList } from '../../../src/api/contract/jobs.ts';
import { PointList } from '../../../src/api/contract/points.ts';
import { PolicyRetirement } from '../../../src/api/contract/policy/retention.ts';
import { PolicySimulation } from '../../../src/api/contract/policy/simulation.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { cliRun } from '../../support/service/cli-run.ts';
import { TestService } from '../../support/service/service.ts';

let engine: FakeEngine;
let service: TestService;
let folder: string;

beforeAll(async () => {
  engine = new FakeEngine();
  service = await TestService.start(engine);
  folder = await mkdtemp(join(tmpdir(), 'hk-retention-'));
  const place = ['--location', join(folder, 'vault'), '--recovery-file', join(folder, 'recovery')];
  await done('vault', 'create', 'main', ...place);
  const disk = { id: randomUUID(), name: 'system', path: '/d/s.raw', format: 'raw' };
  const disks = [{ ...disk, sizeBytes: MiB }];
  const definition = VmDefinition.parse({ id: randomUUID(), name: 'web', disks });
  await engine.add(definition, new AbortController().signal);
});
afterAll(async () => {
  await service.remove();
  await rm(folder, { recursive: true });
});

/** The output of a command that must succeed. */
async function done(...parameters: string[]): Promise<string> {
  const { home: homeFolder } = service;
  const { exitCode, stdout, stderr } = await cliRun(parameters, {
    ...{ folder, passphrase: 'correct horse battery staple' },
    environment: { readSettings: () => ({ homeFolder }) },
  });
  expect([stderr, exitCode]).toEqual([expect.any(String), 0]);
  return stdout;
}

async function points(): Promise<PointList['points']> {
  return PointList.parse(JSON.parse(await done('points', 'list', '--json'))).points;
}

function policyOf(keep: string): string {
  return `name: p\nselector: { all: true }\nvault: main\nschedule: { every: 1d }\nretention: ${keep}\n`;
}

async function apply(keep: string): Promise<void> {
  await writeFile(join(folder, 'p.yaml'), policyOf(keep));
  await done('apply', '-f', 'p.yaml');
}

/** Ends with another exit code while a VM is late. */
async function status(): Promise<string> {
  const { home: homeFolder } = service;
  const environment = { readSettings: () => ({ homeFolder }) };
  return (await cliRun(['status'], { folder, passphrase: '', environment })).stdout;
}

/** Has it decided as after the runs of a policy, or as a day later. */
async function decided(isDaily = false): Promise<object | undefined> {
  if (isDaily) {
    await service.sql('UPDATE "retention_look" SET "at_ms" = 0');
  }
  await service.decide();
  const { body } = await service.get('/jobs?kind=retain');
  const [job] = JobList.parse(body).jobs;
  return (await service.ended(job?.id ?? '')).result;
}

describe('retention of a service', () => {
  it('decides after runs, gives up what is due, and says of each point why it is there', async () => {
    await apply('{ last: 1 }');
    await done('policy', 'run', 'p');
    expect(await decided()).toMatchObject({ kind: 'retain', kept: 1, due: 0 });
    const [first] = await points();
    expect(first?.keeping).toMatchObject({ keep: true, because: [{ rule: 'last', period: '1' }] });

    await done('policy', 'run', 'p');
    expect(await decided()).toMatchObject({ kept: 1, due: 1, retired: 1, waiting: [] });

    const left = await points();
    expect(left).toHaveLength(1);
    expect(left[0]?.id).not.toBe(first?.id);
    expect(await done('points', 'list')).toContain('last (1)');
  });

  it('shows what a policy would give up, and does it when a person says yes', async () => {
    await apply('{ last: 50 }');
    await done('policy', 'run', 'p');
    await decided();
    await writeFile(join(folder, 'p.yaml'), policyOf('{ last: 1 }'));
    expect(await done('apply', '-f', 'p.yaml', '--dry-run')).toContain(
      'Policy p gives up 1 point that it keeps now; 1 of them would still be kept in a week',
    );
    await apply('{ last: 1 }');
    await decided(true);
    expect(await status()).toContain('Revision 3 of policy p waits for a person');

    const shown = await done('policy', 'retire', 'p');
    expect(shown).toContain('Nothing was changed');
    expect(shown).toContain('Revision 3 of policy p waits: it would give up 1 point');
    expect(await points()).toHaveLength(2);

    const report = PolicyRetirement.parse(
      JSON.parse(await done('policy', 'retire', 'p', '--yes', '--json')),
    );
    expect([report.retired.length, report.waiting]).toEqual([1, []]);
    expect(await points()).toHaveLength(1);
  });

  it('leaves points of people alone until they give them to a policy', async () => {
    await done('backup', 'web');
    expect(await done('policy', 'retire', 'p')).toContain('Nobody decides about 1 point');
    const byHand = (await points()).find(({ origin }) => origin?.kind === 'hand')?.id ?? '';

    expect(await done('policy', 'adopt', 'p', byHand)).toContain('Nothing was changed');
    await done('policy', 'adopt', 'p', byHand, '--yes');

    expect(await done('policy', 'retire', 'p')).not.toContain('Nobody decides');
  });

  it('simulates a year', async () => {
    const text = await done('policy', 'simulate');
    expect(text).toContain('in a year each of its 1 VM has 1 point in vault main');
    expect(text).toContain('too early to say');
    const { vaults } = PolicySimulation.parse(
      JSON.parse(await done('policy', 'simulate', 'p', '--json')),
    );
    expect(vaults[0]?.after.map(({ years, points: there }) => [years, there])).toEqual([
      [1, 1],
      [5, 1],
    ]);
    expect(vaults[0]?.after[0]?.retiredObjects).toBeGreaterThanOrEqual(364);
  });
});
