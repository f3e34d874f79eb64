import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SuspicionList } from '../../../src/api/contract/policy/suspicions.ts';
import { KiB, MiB } from '../../../src/kernel/text/bytes.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { TestService } from '../../support/service/service.ts';

const PASSPHRASE = 'correct horse battery staple';
const FILE_BYTES = 512 * KiB;
const FILES = 32;

let engine: FakeEngine;
let service: TestService;
let folder: string;

beforeAll(async () => {
  engine = new FakeEngine();
  service = await TestService.start(engine);
  folder = await mkdtemp(join(tmpdir(), 'hk-suspicion-'));
});
afterAll(async () => {
  await service.remove();
  await rm(folder, { recursive: true });
});

async function cli(...parameters: string[]): Promise<CliRun> {
  const { home: homeFolder } = service;
  return cliRun(parameters, {
    folder,
    passphrase: PASSPHRASE,
    environment: { readSettings: () => ({ homeFolder }) },
  });
}

async function done(...parameters: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await cli(...parameters);
  expect([stderr, exitCode]).toEqual([expect.any(String), 0]);
  return stdout;
}

const text = (seed: string, bytes: number) =>
  seededBytes(seed, bytes).map((byte) => (byte & 0x0f) | 0x40);

/** A VM of which points were taken while it did what it always does. */
async function usualVm(name: string, vault: string): Promise<string> {
  const disk = { id: randomUUID(), name: 'system', path: '/d/s.raw', format: 'raw' };
  const disks = [{ ...disk, sizeBytes: 2 * FILES * FILE_BYTES }];
  const definition = VmDefinition.parse({ id: randomUUID(), name, disks });
  await engine.add(definition, new AbortController().signal);
  for (let file = 0; file < FILES; file += 1) {
    engine.write(
      definition.id,
      'system',
      file * FILE_BYTES,
      text(`${name} ${String(file)}`, FILE_BYTES),
    );
  }
  for (let day = 0; day < 7; day += 1) {
    engine.write(definition.id, 'system', day * MiB, text(`${name} day ${String(day)}`, 256 * KiB));
    await done('backup', name, '--vault', vault, '--wait');
  }
  return definition.id;
}

function encrypt(vm: string, count: number): void {
  for (let file = 0; file < count; file += 1) {
    const bytes = seededBytes(`encrypted ${String(file)}`, FILE_BYTES);
    engine.write(vm, 'system', (FILES - 1 - file) * FILE_BYTES, bytes);
  }
}

describe('a guest that encrypts a fifth of its files', () => {
  it('is suspected: status says so, its last clean point is held, and a person answers', async () => {
    await done(
      'vault',
      'create',
      'main',
      '--location',
      join(folder, 'a'),
      '--recovery-file',
      join(folder, 'ra'),
    );
    const vm = await usualVm('web', 'main');
    expect(await done('suspicion', 'list')).toBe('Nothing looks encrypted.\n');

    encrypt(vm, 7);
    await done('backup', 'web', '--vault', 'main', '--wait');

    const { suspicions } = SuspicionList.parse((await service.get('/suspicions')).body);
    expect(suspicions).toHaveLength(1);
    const [{ cleanId = '' } = {}] = suspicions;
    expect(suspicions[0]).toMatchObject({ vmName: 'web', vaultName: 'main', isHeld: true });
    const status = await cli('status');
    expect(status.exitCode).toBe(1);
    expect(status.stdout).toContain('SUSPICION: content of web looks encrypted since');
    expect(await done('suspicion', 'show', 'web')).toMatch(/3\.\d+ MiB of its content \(2\d %\)/);
    expect(await done('points', 'hold', '--vault', 'main')).toContain(cleanId);
    const retired = await cli('points', 'retire', cleanId, '--vault', 'main', '--yes');
    expect(retired.stderr).toContain('vault.point-held');

    await done('suspicion', 'clear', 'web', '--note', 'a test', '--yes');
    expect(await done('suspicion', 'list')).toBe('Nothing looks encrypted.\n');
    expect(await done('suspicion', 'list', '--all')).toContain('a test');
    expect(await done('points', 'hold', '--vault', 'main')).not.toContain(cleanId);
    await done('backup', 'web', '--vault', 'main', '--wait');
    expect(await done('suspicion', 'list')).toBe('Nothing looks encrypted.\n');
    expect((await cli('suspicion', 'clear', 'web', '--yes')).stderr).toContain('suspicion.unknown');
  }, 120_000);
});
