import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VaultList } from '../../../src/api/contract/vaults.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { TestService } from '../../support/service/service.ts';

const POLICY = 'name: p\nselector: { all: true }\nvault: main\nschedule: { every: 1d }\n';

let engine: FakeEngine;
let service: TestService;
let folder: string;

beforeAll(async () => {
  engine = new FakeEngine();
  service = await TestService.start(engine);
  folder = await mkdtemp(join(tmpdir(), 'hk-destroy-'));
  await create('main');
  const disk = { id: randomUUID(), name: 'system', path: '/d/s.raw', format: 'raw' };
  const definition = VmDefinition.parse({
    ...{ id: randomUUID(), name: 'web' },
    disks: [{ ...disk, sizeBytes: 2 * MiB }],
  });
  await engine.add(definition, new AbortController().signal);
  engine.write(definition.id, 'system', 0, seededBytes('destroy', MiB));
  await writeFile(join(folder, 'p.yaml'), POLICY);
  await done('apply', '-f', 'p.yaml', '--yes');
  await done('backup', 'web', '--vault', 'main');
  await done('backup', 'web', '--vault', 'main');
  await writeFile(join(folder, 'main', 'notes.txt'), 'mine');
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

async function done(...parameters: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await cli(...parameters);
  expect([stderr, exitCode]).toEqual([expect.any(String), 0]);
  return stdout;
}

async function create(name: string): Promise<void> {
  const place = ['--location', join(folder, name), '--recovery-file', join(folder, `r-${name}`)];
  await done('vault', 'create', name, ...place);
}

/** The files of the vault, with those that are not its own. */
async function files(): Promise<string[]> {
  const entries = await readdir(join(folder, 'main'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

describe('vault destroy', () => {
  it('says what would go and what is in its way, and wants the name again', async () => {
    const before = await files();
    const plan = await done('vault', 'destroy', 'main', '--dry-run');
    expect(plan).toContain('removes 2 recovery points for good');
    expect(plan).toContain('What is of no vault stays: 1 object, 4 B (notes.txt)');
    expect(plan).toContain('The policy p keeps its points there');
    expect(plan).toContain('No other vault that is known here has any of its points');

    for (const given of [[], ['--name', 'mian']]) {
      const refused = await cli('vault', 'destroy', 'main', ...given);
      expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringContaining('name')]);
    }
    const { points } = JSON.parse(await done('points', 'list', '--json')) as {
      points: { id: string }[];
    };
    await done('points', 'hold', points[0]?.id ?? '', '--reason', 'a trial');
    const held = await cli('vault', 'destroy', 'main', '--name', 'main');
    expect(held.stderr).toContain('vault.in-use');
    expect(held.stderr).toContain('1 held point');
    expect((await files()).length).toBe(before.length + 1);
  });

  it('refuses everything else once it was begun, and goes on', async () => {
    await service.sql('UPDATE vault SET destroying_at_ms = 1');

    const backup = await cli('backup', 'web', '--vault', 'main');
    expect(backup.stderr).toContain('vault.being-destroyed');
    const { vaults } = VaultList.parse((await service.get('/vaults')).body);
    expect(vaults[0]?.problem).toContain('hyperkeep vault destroy main');
    expect(await done('vault', 'destroy', 'main', '--dry-run')).toContain('It was begun');

    expect(await done('vault', 'destroy', 'main', '--name', 'main')).toMatch(/Removed \d+ objects/);

    expect(await files()).toEqual(['notes.txt']);
    expect(VaultList.parse((await service.get('/vaults')).body).vaults).toEqual([]);
    expect(await done('points', 'list')).toContain('No recovery points');
    const again = await cli('vault', 'create', 'main', '--location', join(folder, 'main'));
    expect(again.stderr).toContain('vault.not-empty');
  });
});
