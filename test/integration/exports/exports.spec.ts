import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Export, ExportList } from '../../../src/api/contract/exports/exports.ts';
import { runCommand } from '../../../src/kernel/command.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { TestService } from '../../support/service/service.ts';

const DISK_BYTES = 24 * MiB;
const signal = AbortSignal.timeout(280_000);

let engine: FakeEngine;
let service: TestService;
let folder: string;
let content: Buffer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-exports-'));
  engine = new FakeEngine();
  service = await TestService.start(engine);
  const path = join(folder, 'web.raw');
  await writeFile(path, '');
  await truncate(path, DISK_BYTES);
  const disks = [{ name: 'system', path, format: 'raw' }];
  const { body } = await service.post('/vms', { name: 'web', disks, nics: [] });
  const { id } = body as { id: string };
  await service.post('/vms/web/start');
  const bytes = seededBytes('an export', 4 * MiB);
  engine.write(id, 'system', 2 * MiB, bytes);
  content = Buffer.alloc(DISK_BYTES);
  content.set(bytes, 2 * MiB);
  await cli('vault', 'create', 'main', '--location', join(folder, 'vault'));
  await cli('backup', 'web');
});
afterEach(async () => {
  for (const { id } of await list()) {
    await cli('export', 'close', id);
  }
});
afterAll(async () => {
  await service.remove();
  await rm(folder, { recursive: true });
});

async function cli(...parameters: string[]): Promise<CliRun> {
  const run = await cliRun(parameters, {
    folder,
    passphrase: 'correct horse battery staple',
    environment: { readSettings: () => ({ homeFolder: service.home }) },
  });
  if (run.exitCode !== 0) {
    throw new Error(`${parameters.join(' ')}: ${run.stderr}`);
  }
  return run;
}

async function opened(...more: string[]): Promise<Export> {
  const { stdout } = await cli('export', 'latest', '--vm', 'web', '--json', ...more);
  return Export.parse(JSON.parse(stdout));
}

async function list(): Promise<Export[]> {
  return ExportList.parse(JSON.parse((await cli('export', 'list', '--json')).stdout)).exports;
}

/** Reads the whole disk as any other program would. */
async function copied({ disks }: Export): Promise<Buffer> {
  const path = join(folder, 'copy.raw');
  await rm(path, { force: true });
  await runCommand('nbdcopy', [disks[0]?.uri ?? '', path], signal);
  return readFile(path);
}

async function leases(): Promise<number> {
  const { body } = await service.get('/vaults/main/reading');
  return (body as { readonly reading: readonly unknown[] }).reading.length;
}

describe('exports', () => {
  it('serve a point to other programs while it is leased, until they are closed', async () => {
    const made = await opened();

    expect(made.disks).toEqual([
      {
        name: 'system',
        sizeBytes: DISK_BYTES,
        uri: expect.stringContaining(made.socketPath) as string,
      },
    ]);
    expect((await copied(made)).equals(content)).toBe(true);
    expect((await stat(made.socketPath)).mode & 0o777).toBe(0o600);
    expect(await leases()).toBe(1);
    expect((await list()).map(({ id, state }) => [id, state])).toEqual([[made.id, 'serving']]);

    await cli('export', 'close', made.id.slice(0, 8));

    expect(await list()).toEqual([]);
    expect(await leases()).toBe(0);
    await expect(copied(made)).rejects.toMatchObject({ code: 'command.failed' });
    expect(await readdir(join(made.socketPath, '../..'))).toEqual([]);
  });

  it('go on when the service starts again', async () => {
    const made = await opened();

    await service.restart();

    expect((await list()).map(({ id, state }) => [id, state])).toEqual([[made.id, 'serving']]);
    expect((await copied(made)).equals(content)).toBe(true);
    await cli('export', 'close', made.id);
  });

  it('say it when their process was killed, and leave nothing behind', async () => {
    const made = await opened();
    process.kill(Number(await readFile(join(made.socketPath, '../pid'), 'utf8')), 'SIGKILL');

    while ((await list()).find(({ id }) => id === made.id)?.state !== 'ended') {
      signal.throwIfAborted();
      // Each look asks the service, which asks the system.
    }
    await cli('export', 'close', made.id);

    expect(await list()).toEqual([]);
  });

  it('keep their point from being given up', async () => {
    const made = await opened();
    const retire = ['points', 'retire', made.pointId, '--vault', 'main', '--yes'];

    await expect(cli(...retire)).rejects.toThrow('vault.point-being-read');
    expect((await copied(made)).equals(content)).toBe(true);
  });

  it('refuse what is not there', async () => {
    await expect(opened('--disk', 'nothing')).rejects.toThrow('point.disk-unknown');
    await expect(cli('export', 'close', 'abcdef')).rejects.toThrow('export.unknown');
    expect(await list()).toEqual([]);
  });
});
