import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { DiskReader } from '../../../src/disk/disk-reader.ts';
import type { ContentExtent, Extent } from '../../../src/disk/extent.ts';
import type { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { createOverlay, createQcow2 } from '../../../src/formats/qemu-img.ts';
import { QemuNbdServer, type QemuNbdOptions } from '../../../src/formats/qemu-nbd.ts';
import { runCommand } from '../../../src/kernel/command.ts';
import { isFault } from '../../../src/kernel/fault.ts';
import type { NbdOptions } from '../../../src/nbd/connection-pool.ts';
import { NbdDiskReader } from '../../../src/nbd/nbd-disk-reader.ts';
import { NbdDiskWriter } from '../../../src/nbd/nbd-disk-writer.ts';
import { describeDiskReader, describeDiskWriter } from '../../contract/disk.contract.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';

const MiB = 1024 * 1024;
const signal = AbortSignal.timeout(280_000);

let folder: string;
let count = 0;
const nbdkits: ChildProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-test-'));
});
afterEach(async () => {
  for (const child of nbdkits.splice(0)) {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) {
      await once(child, 'exit');
    }
  }
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

function newPath(ending: string): string {
  count += 1;
  return join(folder, `${String(count)}.${ending}`);
}

/** Starts nbdkit in the foreground and returns its socket when it listens. */
async function nbdkit(...parameters: string[]): Promise<string> {
  const socketPath = newPath('sock');
  const pidFile = newPath('pid');
  const listening = Promise.withResolvers<undefined>();
  const watcher = watch(folder, (_event, filename) => {
    // The pid file comes last.
    if (filename === basename(pidFile)) {
      listening.resolve(undefined);
    }
  });
  const child = spawn('nbdkit', ['-f', '-U', socketPath, '-P', pidFile, ...parameters], {
    stdio: 'inherit',
  });
  child.once('exit', (code) => {
    listening.reject(new Error(`nbdkit ended with code ${String(code)}`));
  });
  nbdkits.push(child);
  await listening.promise.finally(() => {
    watcher.close();
  });
  return socketPath;
}

/** Makes the reader's close also end whatever serves the disk. */
function closing<Disk extends { close(): Promise<void> }>(
  disk: Disk,
  server: AsyncDisposable,
): Disk {
  const close = disk.close.bind(disk);
  disk.close = async () => {
    await close();
    await server[Symbol.asyncDispose]();
  };
  return disk;
}

async function sparseFile(model: MemoryDisk): Promise<string> {
  const path = newPath('raw');
  await using file = await open(path, 'wx');
  await file.truncate(model.size);
  const all = AbortSignal.timeout(10_000);
  await using reader = model.reader();
  for await (const { offset, length, content } of reader.extents(all)) {
    if (content === 'data') {
      const bytes = new Uint8Array(length);
      await reader.read(offset, bytes, all);
      await file.write(bytes, 0, length, offset);
    }
  }
  return path;
}

async function overQemuNbd(model: MemoryDisk, options?: NbdOptions): Promise<DiskReader> {
  const path = await sparseFile(model);
  const server = await QemuNbdServer.start({ layers: [{ path, format: 'raw' }] }, signal);
  const reader = await NbdDiskReader.open({ socketPath: server.socketPath }, signal, options);
  return closing(reader, server);
}

describeDiskReader('NbdDiskReader on qemu-nbd', overQemuNbd, { sizeUnit: 512 });

describeDiskReader(
  'NbdDiskReader on qemu-nbd with one connection and one request',
  async (model) => overQemuNbd(model, { connections: 1, requestsMax: 1 }),
  { sizeUnit: 512 },
);

describeDiskReader('NbdDiskReader on nbdkit', async (model) => {
  const socketPath = await nbdkit('-r', 'file', await sparseFile(model));
  return NbdDiskReader.open({ socketPath }, signal);
});

describeDiskReader(
  'NbdDiskReader on nbdkit with blocks',
  async (model) => {
    const path = await sparseFile(model);
    const socketPath = await nbdkit(
      ...['-r', '--filter=blocksize-policy', 'file', path],
      ...['blocksize-minimum=4096', 'blocksize-preferred=4096', 'blocksize-maximum=65536'],
      'blocksize-error-policy=error',
    );
    return NbdDiskReader.open({ socketPath }, signal);
  },
  { sizeUnit: 4096 },
);

describeDiskWriter(
  'NbdDiskWriter on qemu-nbd',
  async (size) => {
    const path = newPath('qcow2');
    await createQcow2({ path, sizeBytes: size }, signal);
    const layers = [{ path, format: 'qcow2' }] as const;
    const server = await QemuNbdServer.start({ layers, writable: true }, signal);
    const address = { socketPath: server.socketPath };
    const writer = await NbdDiskWriter.open(address, signal);
    return {
      writer,
      readBack: async () => {
        await writer.close();
        await using reader = await NbdDiskReader.open(address, signal);
        const bytes = new Uint8Array(reader.size);
        await reader.read(0, bytes, signal);
        await reader.close();
        await server.close();
        return bytes;
      },
    };
  },
  { sizeUnit: 512 },
);

describe('NbdDiskReader', () => {
  it('reads from a server that speaks simple replies only, and takes all for data', async () => {
    const path = newPath('raw');
    const content = seededBytes('simple', 3 * MiB);
    await writeFile(path, content);
    const socketPath = await nbdkit('-r', '--no-sr', 'file', path);
    await using disk = await NbdDiskReader.open({ socketPath }, signal);
    const target = new Uint8Array(3 * MiB);

    await disk.read(0, target, signal);
    const extents = await all(disk.extents(signal, { offset: 5, length: 10 }));

    expect(Buffer.compare(target, content)).toBe(0);
    expect(extents).toEqual([{ offset: 5, length: 10, content: 'data' }]);
  });

  it('passes on what the server says when a read fails, and goes on', async () => {
    const socketPath = await nbdkit(
      ...['-r', '--filter=error', 'pattern', '2M', 'error-pread=ENOMEM', 'error-pread-rate=1'],
      `error-file=${join(folder, 'fail')}`,
    );
    await using disk = await NbdDiskReader.open({ socketPath }, signal);
    await writeFile(join(folder, 'fail'), '');

    const failed = await disk.read(0, new Uint8Array(MiB), signal).catch((error: unknown) => error);
    await rm(join(folder, 'fail'));
    const target = new Uint8Array(16);
    await disk.read(MiB, target, signal);

    expect(isFault(failed, 'nbd.request-failed')).toBe(true);
    expect((failed as Error).message).toContain('12');
    expect(Buffer.from(target).readBigUInt64BE(8)).toBe(BigInt(MiB + 8));
  });

  it.each([
    ['no server', 'nbd.unreachable', async () => newPath('sock')],
    [
      'no such export',
      'nbd.export-missing',
      async () =>
        nbdkit('-r', '--filter=exportname', 'null', '1M', 'exportname=x', 'exportname-strict=true'),
    ],
  ])('says that there is %s', async (_what, code, start) => {
    const socketPath = await start();

    const outcome = NbdDiskReader.open({ socketPath, exportName: 'other' }, signal);

    await expect(outcome).rejects.toMatchObject({ code });
  });

  it('fails at once when the server dies, and says so', async () => {
    const socketPath = await nbdkit('-r', '--filter=delay', 'pattern', '8M', 'rdelay=100');
    await using disk = await NbdDiskReader.open({ socketPath }, signal);

    const reading = disk.read(0, new Uint8Array(MiB), signal).catch((error: unknown) => error);
    nbdkits.at(-1)?.kill('SIGKILL');

    expect(isFault(await reading, 'nbd.disconnected')).toBe(true);
  });

  it('gives up on a server that is silent', async () => {
    const socketPath = await nbdkit('-r', '--filter=delay', 'pattern', '8M', 'rdelay=100');
    await using disk = await NbdDiskReader.open({ socketPath }, signal, { timeoutMs: 2000 });

    const outcome = await disk.read(0, new Uint8Array(4096), signal).catch((e: unknown) => e);
    nbdkits.at(-1)?.kill('SIGKILL');

    expect(isFault(outcome, 'nbd.timeout')).toBe(true);
  });

  it('does not touch a buffer any more after it was told to stop', async () => {
    const socketPath = await nbdkit('-r', '--filter=delay', 'pattern', '8M', 'rdelay=200ms');
    await using disk = await NbdDiskReader.open({ socketPath }, signal, { connections: 1 });
    const controller = new AbortController();
    const target = new Uint8Array(MiB);

    const reading = disk.read(8, target, controller.signal).catch((error: unknown) => error);
    setImmediate(() => {
      controller.abort();
    });
    const outcome = await reading;
    target.fill(0xaa);
    await disk.read(0, new Uint8Array(8), signal);

    expect((outcome as Error).name).toBe('AbortError');
    expect(target.every((byte) => byte === 0xaa)).toBe(true);
  });

  it('leaves no socket behind', async () => {
    const socketPath = await nbdkit('-r', 'pattern', '8M');
    const before = (await readdir('/proc/self/fd')).length;

    for (let round = 0; round < 20; round++) {
      await using disk = await NbdDiskReader.open({ socketPath }, signal);
      await disk.read(round, new Uint8Array(100_000), signal);
    }

    // Files that an earlier test left to close may close meanwhile.
    expect((await readdir('/proc/self/fd')).length).toBeLessThanOrEqual(before);
  });

  it('sees what nbdinfo and nbdcopy see', async () => {
    const { layers } = await madeChain();
    await using server = await QemuNbdServer.start({ layers }, signal);
    const uri = `nbd+unix:///?socket=${server.socketPath}`;
    await using disk = await NbdDiskReader.open({ socketPath: server.socketPath }, signal);

    const copy = newPath('copy');
    await runCommand('nbdcopy', [uri, copy], signal);
    const bytes = new Uint8Array(disk.size);
    await disk.read(0, bytes, signal);
    const map = await nbdMap(uri, 'base:allocation');
    const extents = await all(disk.extents(signal));

    const { stdout: size } = await runCommand('nbdinfo', ['--size', uri], signal);
    expect(disk.size).toBe(Number(size));
    expect(Buffer.compare(bytes, await readFile(copy))).toBe(0);
    expect(extents).toEqual(
      joinTouching(
        map.map(({ offset, length, type }) => ({
          offset,
          length,
          content: (type & 2) === 0 ? 'data' : 'zero',
        })),
      ),
    );
  });

  it('tells what was written and zeroed in the top layer only', async () => {
    const { layers } = await madeChain();
    await using server = await QemuNbdServer.start({ layers }, signal);
    await using disk = await NbdDiskReader.open({ socketPath: server.socketPath }, signal);

    const changed = await all(disk.layerExtents(signal));
    const part = await all(disk.layerExtents(signal, { offset: 5 * MiB + 100, length: 5000 }));

    expect(changed).toEqual([
      { offset: MiB, length: 4096, content: 'data' },
      { offset: 5 * MiB, length: 8192, content: 'data' },
      { offset: 8 * MiB, length: 2 * MiB, content: 'zero' },
      { offset: 20 * MiB, length: 4096, content: 'data' },
    ]);
    expect(part).toEqual([{ offset: 5 * MiB + 100, length: 5000, content: 'data' }]);
  });

  it('says that a server without the depth cannot tell layers', async () => {
    const socketPath = await nbdkit('-r', 'pattern', '8M');
    await using disk = await NbdDiskReader.open({ socketPath }, signal);

    await expect(all(disk.layerExtents(signal))).rejects.toMatchObject({
      code: 'nbd.unsupported',
    });
  });
});

describe('NbdDiskWriter', () => {
  it('says that the disk is full', async () => {
    const socketPath = await nbdkit(
      '--filter=error',
      'memory',
      '2M',
      'error-pwrite=ENOSPC',
      'error-pwrite-rate=1',
    );
    await using disk = await NbdDiskWriter.open({ socketPath }, signal);

    const outcome = disk.write(0, new Uint8Array(MiB), signal);

    await expect(outcome).rejects.toMatchObject({ code: 'host.disk-full' });
  });

  it('refuses a disk that is exported read-only', async () => {
    const socketPath = await nbdkit('-r', 'memory', '2M');

    const outcome = NbdDiskWriter.open({ socketPath }, signal);

    await expect(outcome).rejects.toMatchObject({ code: 'nbd.refused' });
  });

  it('writes zeroes itself where the server cannot', async () => {
    const socketPath = await nbdkit('--filter=nozero', 'memory', '4M');
    await using disk = await NbdDiskWriter.open({ socketPath }, signal);
    await disk.write(0, seededBytes('full', 4 * MiB), signal);

    await disk.zero({ offset: 1, length: 3 * MiB }, signal);
    await disk.flush(signal);

    await using reader = await NbdDiskReader.open({ socketPath }, signal);
    const target = new Uint8Array(4 * MiB);
    await reader.read(0, target, signal);
    const expected = Buffer.from(seededBytes('full', 4 * MiB)).fill(0, 1, 1 + 3 * MiB);
    expect(Buffer.compare(target, expected)).toBe(0);
  });

  it('gives the space of zeroes back', async () => {
    const path = newPath('raw');
    await writeFile(path, seededBytes('file', 4 * MiB));
    const layers = [{ path, format: 'raw' }] as const;
    await using server = await QemuNbdServer.start({ layers, writable: true }, signal);
    await using disk = await NbdDiskWriter.open({ socketPath: server.socketPath }, signal);

    await disk.zero({ offset: 0, length: MiB }, signal);
    await disk.flush(signal);

    const { stdout } = await runCommand('du', ['--block-size=1', path], signal);
    const allocated = Number(stdout.split('\t')[0]);
    expect(allocated).toBeGreaterThanOrEqual(3 * MiB);
    expect(allocated).toBeLessThan(4 * MiB);
  });
});

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) {
    list.push(item);
  }
  return list;
}

async function nbdMap(uri: string, context: string): Promise<(Extent & { type: number })[]> {
  const { stdout } = await runCommand('nbdinfo', ['--json', `--map=${context}`, uri], signal);
  return JSON.parse(stdout) as (Extent & { type: number })[];
}

function joinTouching(extents: readonly ContentExtent[]): ContentExtent[] {
  const result: ContentExtent[] = [];
  for (const next of extents) {
    const last = result.at(-1);
    if (last?.content === next.content) {
      result[result.length - 1] = { ...last, length: last.length + next.length };
    } else {
      result.push(next);
    }
  }
  return result;
}

/** base (raw) <- middle <- top, each with some data, the top with zeroed ranges too. */
async function madeChain() {
  const sizeBytes = 32 * MiB;
  const base = { path: newPath('raw'), format: 'raw' } as const;
  await using file = await open(base.path, 'wx');
  await file.truncate(sizeBytes);
  await file.write(seededBytes('base', 12 * MiB), 0, 12 * MiB, 0);
  const middle = { path: newPath('qcow2'), format: 'qcow2' } as const;
  const top = { path: newPath('qcow2'), format: 'qcow2' } as const;
  await createOverlay({ path: middle.path, backing: base, sizeBytes }, signal);
  await createOverlay({ path: top.path, backing: middle, sizeBytes }, signal);
  await fill([base, middle], async (disk) => {
    await disk.write(3 * MiB, seededBytes('m', 8192), signal);
    await disk.write(5 * MiB, seededBytes('m', 4096), signal);
    await disk.zero({ offset: 11 * MiB, length: MiB }, signal);
  });
  await fill([base, middle, top], async (disk) => {
    await disk.write(MiB, seededBytes('t', 4096), signal);
    await disk.write(5 * MiB, seededBytes('u', 8192), signal);
    await disk.zero({ offset: 8 * MiB, length: 2 * MiB }, signal);
    await disk.write(20 * MiB + 100, seededBytes('v', 512), signal);
  });
  return { layers: [base, middle, top] as const };
}

async function fill(
  layers: QemuNbdOptions['layers'],
  change: (disk: NbdDiskWriter) => Promise<void>,
): Promise<void> {
  await using server = await QemuNbdServer.start({ layers, writable: true }, signal);
  await using disk = await NbdDiskWriter.open({ socketPath: server.socketPath }, signal);
  await change(disk);
  await disk.flush(signal);
}
