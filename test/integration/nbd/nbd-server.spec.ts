import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiskReader } from '../../../src/disk/disk-reader.ts';
import type { ContentExtent } from '../../../src/disk/extent.ts';
import { runCommand } from '../../../src/kernel/command.ts';
import { Fault } from '../../../src/kernel/fault.ts';
import { NbdDiskReader } from '../../../src/nbd/nbd-disk-reader.ts';
import { NbdDiskWriter } from '../../../src/nbd/nbd-disk-writer.ts';
import { NbdServer } from '../../../src/nbd/serving/nbd-server.ts';
import type { Serving } from '../../../src/nbd/serving/served-connection.ts';
import type { ServedDisk } from '../../../src/nbd/serving/served-disk.ts';
import { describeDiskReader, describeDiskWriter } from '../../contract/disk.contract.ts';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { seededNumbers } from '../../support/random/seeded-numbers.ts';

const MiB = 1024 * 1024;
const signal = AbortSignal.timeout(280_000);

let folder: string;
let count = 0;
const failures: unknown[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-test-'));
});
beforeEach(() => {
  failures.length = 0;
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

function newPath(ending: string): string {
  count += 1;
  return join(folder, `${String(count)}.${ending}`);
}

interface Served extends AsyncDisposable {
  readonly server: NbdServer;
  readonly socketPath: string;
}

async function serve(disks: Record<string, ServedDisk>, structured = true): Promise<Served> {
  const serving: Serving = {
    disks: new Map(Object.entries(disks)),
    structured,
    onFailure: (error) => failures.push(error),
  };
  const socketPath = newPath('sock');
  const server = await NbdServer.listen(socketPath, serving);
  return { server, socketPath, [Symbol.asyncDispose]: async () => server[Symbol.asyncDispose]() };
}

/** Reads and writes one disk in memory. */
function live(disk: MemoryDisk): ServedDisk {
  const writer = disk.writer();
  return { reader: new LiveReader(disk), writer };
}

class LiveReader extends DiskReader {
  override readonly size: number;
  readonly #disk: MemoryDisk;

  constructor(disk: MemoryDisk) {
    super();
    this.size = disk.size;
    this.#disk = disk;
  }

  override async read(offset: number, target: Uint8Array, aborted: AbortSignal): Promise<void> {
    await this.#disk.reader().read(offset, target, aborted);
  }

  override extents(...of: Parameters<DiskReader['extents']>): AsyncIterable<ContentExtent> {
    return this.#disk.reader().extents(...of);
  }

  override async close(): Promise<void> {
    // Memory needs no closing.
  }
}

function sampleDisk(): MemoryDisk {
  const disk = new MemoryDisk(64 * MiB + 512);
  disk.write(0, seededBytes('start', 300_000));
  disk.write(5 * MiB + 123, seededBytes('middle', 3 * MiB));
  disk.write(disk.size - 1000, seededBytes('end', 1000));
  return disk;
}

/** Ends what serves the disk when the disk is closed. */
function closing<Disk extends { close(): Promise<void> }>(disk: Disk, server: NbdServer): Disk {
  const close = disk.close.bind(disk);
  disk.close = async () => {
    await close();
    await server.close();
  };
  return disk;
}

describeDiskReader('NbdDiskReader on NbdServer', async (model) => {
  const { server, socketPath } = await serve({ '': { reader: model.reader() } });
  return closing(await NbdDiskReader.open({ socketPath }, signal), server);
});

describeDiskWriter('NbdDiskWriter on NbdServer', async (size) => {
  const disk = new MemoryDisk(size);
  const { server, socketPath } = await serve({ '': live(disk) });
  const writer = await NbdDiskWriter.open({ socketPath }, signal);
  return {
    writer: closing(writer, server),
    readBack: async () => {
      await writer.close();
      return disk.toBytes();
    },
  };
});

describe('NbdServer', () => {
  it('shows its exports and what they hold to nbdinfo', async () => {
    const disk = sampleDisk();
    await using served = await serve({
      system: { reader: disk.reader() },
      data: live(disk),
    });
    const { socketPath } = served;

    const { stdout } = await runCommand(
      'nbdinfo',
      ['--list', '--json', `nbd+unix:///?socket=${socketPath}`],
      signal,
    );
    const { exports } = JSON.parse(stdout) as { exports: Record<string, unknown>[] };
    const byName = new Map(exports.map((each) => [each['export-name'], each]));

    expect([...byName.keys()].sort()).toEqual(['data', 'system']);
    expect(byName.get('system')).toMatchObject({
      ...{ 'export-size': disk.size, is_read_only: true, can_multi_conn: true, can_flush: true },
      contexts: ['base:allocation'],
    });
    expect(byName.get('data')).toMatchObject({
      ...{ is_read_only: false, can_fua: true, can_trim: true, can_zero: true },
    });
    const map = await runCommand(
      'nbdinfo',
      ['--map', '--totals', `nbd+unix:///system?socket=${socketPath}`],
      signal,
    );
    expect(map.stdout).toMatch(/hole,zero/u);
    expect(failures).toEqual([]);
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
  });

  it.each([true, false])('gives the same bytes to all tools, in chunks: %s', async (structured) => {
    const disk = sampleDisk();
    await using served = await serve({ system: { reader: disk.reader() } }, structured);
    const { socketPath } = served;
    const uri = `nbd+unix:///system?socket=${socketPath}`;
    const [copied, converted] = [newPath('raw'), newPath('raw')];

    await runCommand('nbdcopy', [uri, copied], signal);
    await runCommand('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', uri, converted], signal);

    for (const path of [copied, converted]) {
      expect(Buffer.compare(await readFile(path), disk.toBytes())).toBe(0);
    }
    expect(failures).toEqual([]);
  });

  it('takes what qemu-io and nbdcopy write', async () => {
    const disk = sampleDisk();
    const expected = sampleDisk();
    await using served = await serve({ data: live(disk) });
    const { socketPath } = served;
    const uri = `nbd+unix:///data?socket=${socketPath}`;

    const commands = [
      ...['write -P 7 1M 64k', 'write -f -P 9 60M 1M', 'write -z 5M 512k', 'discard 6M 1M'],
      ...['flush', 'read -P 7 1M 64k', 'read -P 0 5M 512k'],
    ];
    await runCommand(
      'qemu-io',
      ['-f', 'raw', ...commands.flatMap((command) => ['-c', command]), uri],
      signal,
    );

    expected.write(MiB, new Uint8Array(64 * 1024).fill(7));
    expected.write(60 * MiB, new Uint8Array(MiB).fill(9));
    expected.zero({ offset: 5 * MiB, length: MiB / 2 });
    expected.zero({ offset: 6 * MiB, length: MiB });
    expect(Buffer.compare(disk.toBytes(), expected.toBytes())).toBe(0);

    const source = newPath('raw');
    await runCommand('nbdcopy', [uri, source], signal);
    const other = new MemoryDisk(disk.size);
    await using second = await serve({ data: live(other) });
    await runCommand('nbdcopy', [source, `nbd+unix:///data?socket=${second.socketPath}`], signal);
    expect(Buffer.compare(other.toBytes(), expected.toBytes())).toBe(0);
    expect(failures).toEqual([]);
  });

  it('refuses to write to a disk that is only read', async () => {
    const disk = sampleDisk();
    await using served = await serve({ '': { reader: disk.reader() } });
    const { socketPath } = served;
    const client = await RawClient.open(socketPath);
    await client.go('');

    expect(await client.request(1, 0n, 4, Buffer.from('nope'))).toBe(1);
    expect(await client.request(6, 0n, 4096)).toBe(1);
    expect(await client.request(4, 0n, 4096)).toBe(1);
    // And goes on.
    expect(await client.request(3, 0n, 0)).toBe(0);
    client.end();
  });

  it('tells a client that a disk cannot be read, and goes on', async () => {
    const broken = new MemoryDisk(MiB).reader();
    let isBroken = true;
    const read = broken.read.bind(broken);
    broken.read = async (...of) => {
      if (isBroken) {
        throw new Fault('store.unreachable', 'The store is away.');
      }
      await read(...of);
    };
    await using served = await serve({ '': { reader: broken } });
    const { socketPath } = served;
    await using client = await NbdDiskReader.open({ socketPath }, signal);

    await expect(client.read(0, new Uint8Array(512), signal)).rejects.toMatchObject({
      code: 'nbd.request-failed',
    });
    expect(failures).toHaveLength(1);
    isBroken = false;
    await client.read(0, new Uint8Array(512), signal);
  });

  it('answers what it was asked before it closes', async () => {
    const slow = new MemoryDisk(MiB).reader();
    const asked = Promise.withResolvers<undefined>();
    const gate = Promise.withResolvers<undefined>();
    slow.read = async (_offset, target) => {
      asked.resolve(undefined);
      await gate.promise;
      target.fill(5);
    };
    const { server, socketPath } = await serve({ '': { reader: slow } });
    const client = await NbdDiskReader.open({ socketPath }, signal, { connections: 1 });
    const target = new Uint8Array(512);
    const reading = client.read(0, target, signal);
    await asked.promise;

    const closing = server.close();
    gate.resolve(undefined);
    await reading;
    await closing;

    expect(target[0]).toBe(5);
    await client.close();
  });

  it('survives nonsense and answers nothing from outside the disk', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    console.log(`seed ${String(seed)}`);
    const random = seededNumbers(seed);
    const disk = sampleDisk();
    const asked: { offset: number; length: number }[] = [];
    const reader = disk.reader();
    const read = reader.read.bind(reader);
    reader.read = async (offset, target, aborted) => {
      asked.push({ offset, length: target.length });
      await read(offset, target, aborted);
    };
    await using served = await serve({ '': { reader } });
    const { socketPath } = served;

    for (let round = 0; round < 200; round++) {
      const client = await RawClient.open(socketPath);
      if (random(10) < 8) {
        await client.go('');
        for (let requests = 0; requests < 5; requests++) {
          client.send(nonsenseRequest(random, disk.size));
        }
      } else {
        client.send(seededBytes(`${String(seed)} ${String(round)}`, 1 + random(200)));
      }
      client.end();
      await client.gone;
    }

    expect(asked.every(({ offset, length }) => offset + length <= disk.size)).toBe(true);
    expect(asked.length).toBeGreaterThan(10);
    await using whole = await NbdDiskReader.open({ socketPath }, signal);
    await whole.read(0, new Uint8Array(MiB), signal);
  });
});

/** A request that is right but for one field, or right. */
function nonsenseRequest(random: (limit: number) => number, size: number): Uint8Array {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(random(10) > 0 ? 0x25609513 : random(2 ** 32), 0);
  head.writeUInt16BE(random(10) > 1 ? 0 : random(2 ** 16), 4);
  head.writeUInt16BE(random(9), 6);
  head.writeBigUInt64BE(random(10) > 2 ? BigInt(random(size)) : BigInt.asUintN(64, -5n), 16);
  head.writeUInt32BE(random(10) > 2 ? random(MiB) : 0xffff_ffff, 24);
  return head;
}

/** A client that checks nothing and sends what it is told to. */
class RawClient {
  readonly gone: Promise<unknown>;
  readonly #socket: Socket;
  #received = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.gone = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes]);
    });
  }

  static async open(socketPath: string): Promise<RawClient> {
    const socket = connect(socketPath);
    await once(socket, 'connect');
    const client = new RawClient(socket);
    await client.take(18);
    return client;
  }

  async go(name: string): Promise<void> {
    const bytes = Buffer.alloc(4 + 16 + 6 + name.length);
    bytes.writeUInt32BE(3, 0);
    bytes.write('IHAVEOPT', 4);
    bytes.writeUInt32BE(7, 12);
    bytes.writeUInt32BE(6 + name.length, 16);
    bytes.writeUInt32BE(name.length, 20);
    bytes.write(name, 24);
    this.send(bytes);
    await this.take(20 + 12 + (20 + 14) + 20);
  }

  /** @returns the error number of the answer */
  async request(command: number, offset: bigint, length: number, data?: Buffer): Promise<number> {
    const head = Buffer.alloc(28);
    head.writeUInt32BE(0x25609513, 0);
    head.writeUInt16BE(command, 6);
    head.writeBigUInt64BE(offset, 16);
    head.writeUInt32BE(length, 24);
    this.send(data === undefined ? head : Buffer.concat([head, data]));
    return (await this.take(16)).readUInt32BE(4);
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  end(): void {
    this.#socket.end();
    this.#socket.resume();
  }

  async take(length: number): Promise<Buffer> {
    while (this.#received.length < length) {
      await once(this.#socket, 'data', { signal });
    }
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }
}
