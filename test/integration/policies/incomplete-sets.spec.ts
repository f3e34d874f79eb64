import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JobList } from '../../../src/api/contract/jobs.ts';
import { PointList } from '../../../src/api/contract/points.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { TestService } from '../../support/service/service.ts';

const { signal } = new AbortController();
const PASSPHRASE = 'correct horse battery staple';
const NAMES = ['shop-db', 'shop-queue', 'shop-web'] as const;
const POLICY = `
name: shop
selector: { vms: ["shop-*"] }
vault: main
schedule: { every: 1h }
group: { spread: 60s, freezeWithin: 20s }
`;
const INCOMPLETE =
  'The point is of an incomplete set: of 3 VMs that were taken at its moment, 1 have no point in this vault.';

describe('A service whose group failed after two of three points were sealed', () => {
  let engine: FakeEngine;
  let service: TestService;
  let folder: string;
  let web: string;

  beforeAll(async () => {
    engine = new FakeEngine();
    service = await TestService.start(engine);
    folder = await mkdtemp(join(tmpdir(), 'hk-sets-'));
    const place = [
      '--location',
      join(folder, 'vault'),
      '--recovery-file',
      join(folder, 'recovery'),
    ];
    await done('vault', 'create', 'main', ...place);
    for (const name of NAMES) {
      web = await addVm(name);
    }
    await writeFile(join(folder, 'shop.yaml'), POLICY);
    await done('apply', '-f', 'shop.yaml');
    await done('policy', 'run', 'shop');
    engine.writtenImages.add(web);
    await cli('policy', 'run', 'shop');
  });
  afterAll(async () => {
    await service.remove();
    await rm(folder, { recursive: true });
  });

  async function addVm(name: string): Promise<string> {
    const disk = { id: randomUUID(), name: 'system', path: '/d/s.raw', format: 'raw' };
    const disks = [{ ...disk, sizeBytes: MiB }];
    const definition = VmDefinition.parse({ id: randomUUID(), name, disks });
    await engine.add(definition, signal);
    await engine.start(definition.id, signal);
    return definition.id;
  }

  async function cli(...parameters: string[]): Promise<CliRun> {
    const environment = { readSettings: () => ({ homeFolder: service.home }) };
    return cliRun(parameters, { folder, passphrase: PASSPHRASE, environment });
  }

  async function done(...parameters: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await cli(...parameters);
    expect([stderr, exitCode]).toEqual([expect.any(String), 0]);
    return stdout;
  }

  /** All points, those of the failed attempt last. */
  async function points() {
    return PointList.parse(JSON.parse(await done('points', '--json'))).points;
  }

  /** The newest first. */
  async function groupJobs() {
    const words = ['jobs', '--kind', 'backup-group', '--json'];
    return JobList.parse(JSON.parse(await done(...words))).jobs;
  }

  it('shows the sealed points as what they are, and the set as incomplete', async () => {
    const all = await points();
    expect(all.map(({ vmName, set }) => [vmName, set?.isComplete]).sort()).toEqual([
      ...[
        ['shop-db', false],
        ['shop-db', true],
      ],
      ...[
        ['shop-queue', false],
        ['shop-queue', true],
      ],
      ['shop-web', true],
    ]);
    const broken = all.filter(({ set }) => set?.isComplete === false);
    expect(broken.map(({ set }) => set?.missing)).toEqual([[web], [web]]);
    expect((await done('points')).match(/\(INCOMPLETE set\)/g)).toHaveLength(2);

    const [failed] = await groupJobs();
    expect(failed?.fault).toMatchObject({ code: 'engine.image-changed' });
    const text = await done('jobs', 'show', failed?.id ?? '');
    expect(text).toContain('of 2 points is INCOMPLETE, without shop-web');
    for (const { id } of broken) {
      expect(text).toContain(id);
    }
    expect(engine.frozen).toBe(0);
  });

  it('says so in the status, with the newest set that is complete', async () => {
    const [first] = (await points()).filter(({ set }) => set?.isComplete === true);

    const { stdout } = await cli('status');

    const at = new Date(first?.takenAtMs ?? 0).toISOString();
    expect(stdout).toContain(
      `newest set incomplete (2 of 3 VMs), the latest complete one is of ${at}`,
    );
  });

  it.each([
    ['a VM', (to: string) => ['--as', 'copy', '--to', to], 'copy-system.qcow2'],
    ['a disk', (to: string) => ['--disk', 'system', '--to', join(to, 'one.qcow2')], 'one.qcow2'],
  ])('says so before anything of %s is restored', async (what, words, taken) => {
    const broken = (await points()).filter(({ set }) => set?.isComplete === false);
    const [{ id } = { id: '' }] = broken;
    const to = join(folder, what);
    await mkdir(to);

    // What is there already keeps it from writing.
    for (const name of [taken, 'system.qcow2']) {
      await writeFile(join(to, name), '');
    }
    const refused = await cli('restore', id, '--no-add', ...words(to));
    expect(refused.stderr).toContain(INCOMPLETE);
    expect(refused.stderr).toContain('exists');
    const before = await readdir(to);
    await rm(to, { recursive: true });

    const restored = await cli('restore', id, '--no-add', ...words(to));

    expect(before.sort()).toEqual([taken, 'system.qcow2'].sort());
    expect(restored.stderr.split(INCOMPLETE)).toHaveLength(2);
    expect([restored.exitCode, restored.stdout]).toEqual([
      0,
      expect.stringContaining(`note: ${INCOMPLETE}`),
    ]);
  });

  it('says nothing of the kind of a point whose set is complete', async () => {
    const [whole] = (await points()).filter(({ set }) => set?.isComplete === true);

    const { exitCode, stdout, stderr } = await cli(
      ...['restore', whole?.id ?? '', '--no-add', '--as', 'whole', '--to', join(folder, 'whole')],
    );

    expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
    expect(stdout + stderr).not.toContain('incomplete');
  });

  it('says so in a rescue too, without a service', async () => {
    const broken = (await points()).filter(({ set }) => set?.isComplete === false);
    const [{ id } = { id: '' }] = broken;
    const words = ['--vault', join(folder, 'vault'), '--to', join(folder, 'rescued')];

    const { exitCode, stderr } = await cli('rescue', 'restore', id, ...words);

    expect([exitCode, stderr]).toEqual([0, expect.stringContaining(INCOMPLETE)]);
  });

  it('takes a complete set the next time, and has nothing to say any more', async () => {
    engine.writtenImages.clear();

    // The time of the next attempt has come.
    await service.sql(`UPDATE "run" SET "next_try_at_ms" = 1 WHERE "state" = 'due'`);
    await service.tick();
    const [newest] = await groupJobs();
    expect(await service.ended(newest?.id ?? '')).toMatchObject({ state: 'succeeded' });

    expect((await cli('status')).stdout).not.toContain('incomplete');
    const all = await points();
    expect(
      all
        .slice(-NAMES.length)
        .map(({ vmName, set }) => [vmName, set?.isComplete])
        .sort(),
    ).toEqual(NAMES.map((name) => [name, true]));
  });
});
