import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createOverlay, createQcow2 } from '../../../src/formats/qemu-img.ts';
import { QemuNbdServer } from '../../../src/formats/qemu-nbd.ts';
import { runCommand } from '../../../src/kernel/command.ts';

const signal = AbortSignal.timeout(280_000);
const SIZE = 8 * 1024 * 1024;

describe('QemuNbdServer', () => {
  let folder: string;
  let base: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hk-test-'));
    base = join(folder, 'a,b "c" d.qcow2');
    await createQcow2({ path: base, sizeBytes: SIZE }, signal);
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  it('listens when it has started, and leaves no process and no file when it is closed', async () => {
    const server = await QemuNbdServer.start({ layers: [{ path: base, format: 'qcow2' }] }, signal);

    const { stdout } = await runCommand(
      'nbdinfo',
      ['--size', `nbd+unix:///?socket=${server.socketPath}`],
      signal,
    );
    await server.close();
    await server.close();

    expect(stdout.trim()).toBe(String(SIZE));
    expect(server.socketPath.length).toBeLessThanOrEqual(100);
    expect(existsSync(dirname(server.socketPath))).toBe(false);
    expect(existsSync(`/proc/${String(server.pid)}`)).toBe(false);
  });

  it('reads with fewer rights than ours', async () => {
    await using server = await QemuNbdServer.start(
      { layers: [{ path: base, format: 'qcow2' }] },
      signal,
    );

    const status = await readFile(`/proc/${String(server.pid)}/status`, 'utf8');
    const limits = await readFile(`/proc/${String(server.pid)}/limits`, 'utf8');

    expect((await stat(dirname(server.socketPath))).mode & 0o777).toBe(0o700);
    expect(status).toMatch(/NoNewPrivs:\s1/);
    expect(limits).toMatch(/Max core file size\s+0 /);
    if (process.getuid?.() === 0) {
      expect(status).toMatch(/CapEff:\s0{15}[04]/);
    }
  });

  it('never follows the reference in a header', async () => {
    const overlay = join(folder, 'overlay.qcow2');
    const backing = { path: '/nowhere/base.raw', format: 'raw' } as const;
    await createOverlay({ path: overlay, backing, sizeBytes: SIZE }, signal);

    const server = await QemuNbdServer.start(
      { layers: [{ path: overlay, format: 'qcow2' }] },
      signal,
    );

    await server.close();
  });

  it('does not probe: a raw disk that holds a qcow2 header is raw', async () => {
    const raw = join(folder, 'probe.raw');
    await writeFile(raw, await readFile(base));
    await truncate(raw, 1024 * 1024);
    await using server = await QemuNbdServer.start(
      { layers: [{ path: raw, format: 'raw' }] },
      signal,
    );

    const { stdout } = await runCommand(
      'nbdinfo',
      ['--size', `nbd+unix:///?socket=${server.socketPath}`],
      signal,
    );

    expect(stdout.trim()).toBe(String(1024 * 1024));
  });

  it('says that a file is not there, is not an image, or is being written', async () => {
    const start = async (path: string, writable = false): Promise<unknown> =>
      QemuNbdServer.start({ layers: [{ path, format: 'qcow2' }], writable }, signal).catch(
        (error: unknown) => error,
      );
    const text = join(folder, 'text.qcow2');
    await writeFile(text, 'not an image');
    await using writer = await QemuNbdServer.start(
      { layers: [{ path: base, format: 'qcow2' }], writable: true },
      signal,
    );

    expect(await start(join(folder, 'none'))).toMatchObject({ code: 'formats.image-missing' });
    expect(await start(text)).toMatchObject({ code: 'formats.tool-failed' });
    expect(await start(base)).toMatchObject({ code: 'formats.image-in-use' });
    expect(writer.pid).toBeGreaterThan(0);
  });

  it('stops starting when it is told to', async () => {
    const controller = new AbortController();

    const start = QemuNbdServer.start(
      { layers: [{ path: base, format: 'qcow2' }] },
      controller.signal,
    );
    controller.abort();

    await expect(start).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('dies with a service that is killed', async () => {
    const module = new URL('../../../src/formats/qemu-nbd.ts', import.meta.url).href;
    const program = `
      const { QemuNbdServer } = await import(${JSON.stringify(module)});
      const layers = [{ path: ${JSON.stringify(base)}, format: 'qcow2' }];
      const server = await QemuNbdServer.start({ layers }, AbortSignal.timeout(60000));
      console.log(JSON.stringify([server.pid, server.socketPath]));
      setInterval(() => {}, 1000);
    `;
    const service = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(service.stdout, 'data')) as [Buffer];
    const [pid, socketPath] = JSON.parse(line.toString()) as [number, string];
    const gone = once(spawn('tail', ['--pid', String(pid), '-f', '/dev/null']), 'exit');

    service.kill('SIGKILL');
    await gone;

    expect(existsSync(`/proc/${String(pid)}`)).toBe(false);
    // Whoever makes a folder for a socket next removes it: maybe another test already did.
    await rm(dirname(socketPath), { recursive: true, force: true });
  });
});
