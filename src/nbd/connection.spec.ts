import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FaultCode } from '../kernel/fault.ts';
import { NbdConnection } from './connection.ts';
import { NbdDiskReader } from './nbd-disk-reader.ts';
import { Command } from './protocol.ts';
import {
  exportInfo,
  greeting,
  optionReply,
  simpleReply,
  structuredReply as wireReply,
} from '../../test/support/guest/nbd-wire.ts';

const signal = AbortSignal.timeout(30_000);
const options = { contexts: ['base:allocation'], timeoutMs: 5000 };
const ACK = 1;
const DATA = 1;
const HOLE = 2;
const STATUS = 5;
const ERROR = 0x8001;
const DONE = 1;

interface Request {
  readonly command: number;
  readonly cookie: bigint;
  readonly offset: number;
  readonly length: number;
}
type Answer = (request: Request, socket: Socket) => Uint8Array | undefined;

/** What a server sends instead of what it should. */
interface Script {
  readonly greeting?: Uint8Array;
  readonly structured?: boolean;
  readonly onGo?: () => Uint8Array;
  readonly contexts?: () => Uint8Array;
  readonly answer?: Answer;
}

let folder: string;
const servers: Server[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-test-'));
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close();
    await once(server, 'close');
  }
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function serve(script: Script): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    speak(socket, script);
  });
  servers.push(server);
  const socketPath = join(folder, `${String(process.hrtime.bigint())}.sock`);
  server.listen(socketPath);
  await once(server, 'listening');
  return socketPath;
}

/** Does the handshake, and then answers requests as the script says. */
function speak(socket: Socket, script: Script): void {
  let received = Buffer.alloc(0);
  let isServing = false;
  let hasFlags = false;
  socket.write(script.greeting ?? greeting());
  socket.on('data', (piece: Buffer) => {
    received = Buffer.concat([received, piece]);
    if (!hasFlags && received.length >= 4) {
      hasFlags = true;
      received = received.subarray(4);
    }
    while (!isServing && hasFlags && received.length >= 16) {
      const option = received.readUInt32BE(8);
      const end = 16 + received.readUInt32BE(12);
      if (received.length < end) {
        return;
      }
      received = received.subarray(end);
      isServing = option === 7;
      socket.write(optionAnswer(option, script));
    }
    while (isServing && received.length >= 28) {
      const request = {
        command: received.readUInt16BE(6),
        cookie: received.readBigUInt64BE(8),
        offset: Number(received.readBigUInt64BE(16)),
        length: received.readUInt32BE(24),
      };
      received = received.subarray(28);
      if (request.command === Command.disconnect) {
        socket.end();
        return;
      }
      const answer = script.answer?.(request, socket);
      if (answer !== undefined) {
        socket.write(answer);
      }
    }
  });
}

function optionAnswer(option: number, script: Script): Uint8Array {
  switch (option) {
    case 8:
      return optionReply(option, script.structured === false ? 0x8000_0001 : ACK);
    case 10:
      return (
        script.contexts?.() ??
        Buffer.concat([
          optionReply(10, 4, Buffer.from('\0\0\0\x2abase:allocation')),
          optionReply(10, ACK),
        ])
      );
    default:
      return script.onGo?.() ?? Buffer.concat([exportInfo(1024 * 1024), optionReply(7, ACK)]);
  }
}

async function codeOf(running: Promise<unknown>): Promise<string> {
  return running.then(
    () => 'no error',
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
}

/** Returns the outcome of a read of 8 bytes at 0 that is answered like this. */
async function readOf(answer: Answer, structured = true): Promise<string> {
  const socketPath = await serve({ structured, answer });
  const connection = await NbdConnection.open({ socketPath }, options, signal);
  const target = new Uint8Array(8).fill(0xaa);
  const outcome = await codeOf(
    connection.request({ command: Command.read, offset: 0, length: 8, target }, signal),
  );
  await connection.close();
  return outcome === 'no error' ? Buffer.from(target).toString('hex') : outcome;
}

describe('NbdConnection, on opening', () => {
  it.each<[string, Script, FaultCode]>([
    ['greets otherwise', { greeting: Buffer.alloc(18, 'x') }, 'nbd.protocol-broken'],
    ['knows no options', { greeting: greeting(0) }, 'nbd.unsupported'],
    ['answers another option', { onGo: () => optionReply(6, ACK) }, 'nbd.protocol-broken'],
    ['names no size', { onGo: () => optionReply(7, ACK) }, 'nbd.protocol-broken'],
    ['claims a disk of 2^63 bytes', { onGo: () => exportInfo(2n ** 63n) }, 'nbd.protocol-broken'],
    [
      'announces an endless answer',
      { onGo: () => optionReply(7, 3, undefined, 0xffff_ffff) },
      'nbd.protocol-broken',
    ],
    [
      'tells facts for ever',
      { onGo: () => Buffer.concat(Array.from({ length: 100 }, () => exportInfo(1024))) },
      'nbd.protocol-broken',
    ],
    [
      'invents contexts for ever',
      {
        contexts: () =>
          Buffer.concat(
            Array.from({ length: 100 }, () => optionReply(10, 4, Buffer.from('abcdx'))),
          ),
      },
      'nbd.protocol-broken',
    ],
    [
      'has blocks of 3 bytes',
      {
        onGo: () => optionReply(7, 3, Buffer.from([0, 3, 0, 0, 0, 3, 0, 0, 16, 0, 0, 1, 0, 0])),
      },
      'nbd.protocol-broken',
    ],
    ['lacks the export', { onGo: () => optionReply(7, 0x8000_0006) }, 'nbd.export-missing'],
    ['refuses', { onGo: () => optionReply(7, 0x8000_0002) }, 'nbd.refused'],
    ['wants TLS', { onGo: () => optionReply(7, 0x8000_0005) }, 'nbd.unsupported'],
    ['is shutting down', { onGo: () => optionReply(7, 0x8000_0007) }, 'nbd.disconnected'],
  ])('fails when the server %s', async (_what, script, code) => {
    const socketPath = await serve(script);

    expect(await codeOf(NbdConnection.open({ socketPath }, options, signal))).toBe(code);
  });

  it('fails when the server goes away in the middle', async () => {
    const server = createServer((socket) => socket.end(greeting().subarray(0, 7)));
    servers.push(server);
    const socketPath = join(folder, 'short.sock');
    server.listen(socketPath);
    await once(server, 'listening');

    const opening = NbdConnection.open({ socketPath }, options, signal);

    expect(await codeOf(opening)).toBe('nbd.disconnected');
  });

  it('fails when the server says nothing, and when it is told to stop', async () => {
    const server = createServer((socket) => socket.resume());
    servers.push(server);
    const socketPath = join(folder, 'silent.sock');
    server.listen(socketPath);
    await once(server, 'listening');
    const controller = new AbortController();

    const silent = NbdConnection.open({ socketPath }, { contexts: [], timeoutMs: 50 }, signal);
    const stopped = NbdConnection.open({ socketPath }, options, controller.signal);
    controller.abort();

    const [first, second] = await Promise.allSettled([silent, stopped]);
    expect(first).toMatchObject({ reason: { code: 'nbd.timeout' } });
    expect(second).toMatchObject({ reason: { name: 'AbortError' } });
  });
});

describe('NbdConnection, on reading', () => {
  const bytes = Buffer.from('0123456789abcdef', 'hex');

  it.each<[string, (cookie: bigint) => Uint8Array[]]>([
    ['one piece', (cookie) => [structuredReply(cookie, DATA, DONE, dataAt(0, bytes))]],
    [
      'pieces from behind and an end',
      (cookie) => [
        structuredReply(cookie, DATA, 0, dataAt(5, bytes.subarray(5))),
        structuredReply(cookie, DATA, 0, dataAt(0, bytes.subarray(0, 3))),
        structuredReply(cookie, DATA, 0, dataAt(3, bytes.subarray(3, 5))),
        structuredReply(cookie, 0, DONE),
      ],
    ],
  ])('puts %s together', async (_what, replies) => {
    const outcome = await readOf(({ cookie }) => Buffer.concat(replies(cookie)));

    expect(outcome).toBe('0123456789abcdef');
  });

  it('fills holes with zeroes', async () => {
    const outcome = await readOf(({ cookie }) =>
      Buffer.concat([
        structuredReply(cookie, HOLE, 0, holeAt(0, 6)),
        structuredReply(cookie, DATA, DONE, dataAt(6, bytes.subarray(6))),
      ]),
    );

    expect(outcome).toBe('000000000000cdef');
  });

  it('reads simple replies', async () => {
    expect(await readOf(({ cookie }) => simpleReply(cookie, 0, bytes), false)).toBe(
      '0123456789abcdef',
    );
    expect(await readOf(({ cookie }) => simpleReply(cookie, 5), false)).toBe('nbd.request-failed');
  });

  it.each<[string, (cookie: bigint) => Uint8Array]>([
    ['bytes that are missing', (c) => structuredReply(c, DATA, DONE, dataAt(0, bytes.subarray(1)))],
    ['no bytes at all', (c) => structuredReply(c, 0, DONE)],
    ['bytes behind the range', (c) => structuredReply(c, DATA, DONE, dataAt(4, bytes))],
    ['bytes before the range', (c) => structuredReply(c, DATA, DONE, dataAt(-1, bytes))],
    ['too many bytes', (c) => structuredReply(c, DATA, DONE, dataAt(0, Buffer.alloc(9)))],
    ['a length of 4 GiB', (c) => structuredReply(c, DATA, DONE, undefined, 0xffff_ffff)],
    [
      'the same bytes twice',
      (c) =>
        Buffer.concat([
          structuredReply(c, DATA, 0, dataAt(0, bytes)),
          structuredReply(c, HOLE, DONE, holeAt(7, 1)),
        ]),
    ],
    ['a hole of nothing', (c) => structuredReply(c, HOLE, DONE, holeAt(0, 0))],
    ['a hole of 4 GiB', (c) => structuredReply(c, HOLE, DONE, holeAt(0, 0xffff_ffff))],
    ['a hole of the wrong form', (c) => structuredReply(c, HOLE, DONE, Buffer.alloc(13))],
    ['an empty answer that goes on', (c) => structuredReply(c, 0, 0)],
    ['an empty answer that is not', (c) => structuredReply(c, 0, DONE, Buffer.alloc(1))],
    ['a status', (c) => structuredReply(c, STATUS, DONE, Buffer.alloc(12, 1))],
    ['an unknown type', (c) => structuredReply(c, 77, DONE)],
    ['an error that is none', (c) => structuredReply(c, ERROR, DONE, Buffer.alloc(6))],
    ['an error of 1 GiB', (c) => structuredReply(c, ERROR, DONE, undefined, 2 ** 30)],
    ['a simple answer', (c) => simpleReply(c, 0, bytes)],
    ['another cookie', (c) => structuredReply(c + 1n, 0, DONE)],
    ['a cookie of more bits', (c) => structuredReply(c + (1n << 32n), 0, DONE)],
    ['a wrong magic number', () => Buffer.alloc(32, 'z')],
    [
      'errors without end',
      (c) =>
        Buffer.concat(
          Array.from({ length: 200 }, () => structuredReply(c, ERROR, 0, errorOf(5, 'x'))),
        ),
    ],
  ])('gives the server up for %s', async (_what, reply) => {
    expect(await readOf(({ cookie }) => reply(cookie))).toBe('nbd.protocol-broken');
  });

  it.each<[string, number, number, FaultCode]>([
    ['EIO', ERROR, 5, 'nbd.request-failed'],
    ['EPERM', ERROR, 1, 'nbd.refused'],
    ['ENOTSUP', ERROR, 95, 'nbd.unsupported'],
    ['ESHUTDOWN', ERROR, 108, 'nbd.disconnected'],
    ['an error of a type to come', 0x80ff, 5, 'nbd.request-failed'],
  ])('passes on %s', async (_what, type, error, code) => {
    expect(
      await readOf(({ cookie }) => structuredReply(cookie, type, DONE, errorOf(error, 'why'))),
    ).toBe(code);
  });

  it('goes on after an error in the middle of an answer', async () => {
    const socketPath = await serve({
      answer: ({ cookie, offset }) =>
        offset > 0
          ? structuredReply(cookie, DATA, DONE, dataAt(offset, bytes))
          : Buffer.concat([
              structuredReply(cookie, DATA, 0, dataAt(0, bytes.subarray(0, 4))),
              structuredReply(cookie, 0x8002, 0, errorOf(5, 'bad\nsector', 4)),
              structuredReply(cookie, 0, DONE),
            ]),
    });
    const connection = await NbdConnection.open({ socketPath }, options, signal);
    const read = async (offset: number, target: Uint8Array): Promise<unknown> =>
      connection.request({ command: Command.read, offset, length: 8, target }, signal);
    const target = new Uint8Array(8);

    const [failed] = await Promise.allSettled([read(0, new Uint8Array(8)), read(8, target)]);
    await connection.close();

    expect(failed).toMatchObject({
      reason: { message: expect.stringContaining('bad?sector') as string },
    });
    expect(Buffer.compare(target, bytes)).toBe(0);
  });

  it('fails all that wait when the server goes away in the middle of an answer', async () => {
    const socketPath = await serve({
      answer: ({ cookie, offset }, socket) => {
        if (offset > 0) {
          socket.end(structuredReply(cookie, DATA, DONE, dataAt(offset, bytes)).subarray(0, 30));
        }
        return undefined;
      },
    });
    const connection = await NbdConnection.open({ socketPath }, options, signal);
    const read = async (offset: number): Promise<string> =>
      codeOf(
        connection.request(
          { command: Command.read, offset, length: 8, target: new Uint8Array(8) },
          signal,
        ),
      );

    const outcomes = await Promise.all([read(0), read(8)]);

    expect(outcomes).toEqual(['nbd.disconnected', 'nbd.disconnected']);
    expect(await read(16)).toBe('nbd.disconnected');
    await connection.close();
  });

  it('skips the answer to a read that nobody waits for any more', async () => {
    const late: (() => void)[] = [];
    const socketPath = await serve({
      answer: ({ cookie, offset }, socket) => {
        const reply = structuredReply(cookie, DATA, DONE, dataAt(offset, bytes));
        if (offset === 0) {
          socket.write(reply.subarray(0, 32));
          late.push(() => socket.write(reply.subarray(32)));
          return undefined;
        }
        late.forEach((send) => {
          send();
        });
        return reply;
      },
    });
    const connection = await NbdConnection.open({ socketPath }, options, signal);
    const controller = new AbortController();
    const abandoned = new Uint8Array(8);
    const target = new Uint8Array(8);

    const first = connection.request(
      { command: Command.read, offset: 0, length: 8, target: abandoned },
      controller.signal,
    );
    controller.abort();
    await expect(first).rejects.toMatchObject({ name: 'AbortError' });
    abandoned.fill(0xaa);
    await connection.request({ command: Command.read, offset: 8, length: 8, target }, signal);
    await connection.close();

    expect(Buffer.compare(target, bytes)).toBe(0);
    expect(abandoned.every((byte) => byte === 0xaa)).toBe(true);
  });
});

describe('NbdDiskReader, on asking what a disk holds', () => {
  async function extentsOf(runs: (offset: number, length: number) => number[]): Promise<unknown> {
    const socketPath = await serve({
      answer: ({ cookie, offset, length }) =>
        structuredReply(cookie, STATUS, DONE, numbers([42, ...runs(offset, length)])),
    });
    await using disk = await NbdDiskReader.open({ socketPath }, signal);
    const found: unknown[] = [];
    for await (const { offset, length, content } of disk.extents(signal)) {
      found.push([offset, length, content]);
    }
    return found;
  }

  it('asks again where an answer is short, and cuts one that is long', async () => {
    const found = await extentsOf((offset) => (offset === 0 ? [4096, 3] : [65536, 0, 1 << 21, 0]));

    expect(found).toEqual([
      [0, 4096, 'zero'],
      [4096, 1024 * 1024 - 4096, 'data'],
    ]);
  });

  it('reads a hole that is not said to be zero', async () => {
    expect(await extentsOf((_offset, length) => [length, 1])).toEqual([[0, 1024 * 1024, 'data']]);
  });

  it.each<[string, () => number[]]>([
    ['a run of nothing', () => [0, 0]],
    ['no runs', () => []],
    ['half a run', () => [4096]],
  ])('gives the server up for %s', async (_what, runs) => {
    expect(await codeOf(extentsOf(runs))).toBe('nbd.protocol-broken');
  });

  it('gives the server up for an answer about something else', async () => {
    const socketPath = await serve({
      answer: ({ cookie }) => structuredReply(cookie, STATUS, DONE, numbers([43, 4096, 0])),
    });
    await using disk = await NbdDiskReader.open({ socketPath }, signal);
    const asking = (async () => {
      for await (const extent of disk.extents(signal)) {
        expect(extent).toBeUndefined();
      }
    })();

    expect(await codeOf(asking)).toBe('nbd.protocol-broken');
  });
});

function structuredReply(
  cookie: bigint,
  type: number,
  flags: number,
  ...payload: [Uint8Array?, number?]
): Buffer {
  return wireReply({ cookie, type, isLast: flags === DONE }, ...payload);
}

function dataAt(offset: number, data: Uint8Array): Buffer {
  const head = Buffer.alloc(8);
  head.writeBigInt64BE(BigInt(offset));
  return Buffer.concat([head, data]);
}

function holeAt(offset: number, length: number): Buffer {
  return Buffer.concat([dataAt(offset, new Uint8Array(0)), numbers([length])]);
}

function errorOf(error: number, text: string, offset?: number): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt32BE(error, 0);
  head.writeUInt16BE(text.length, 4);
  const where = offset === undefined ? Buffer.alloc(0) : dataAt(offset, new Uint8Array(0));
  return Buffer.concat([head, Buffer.from(text), where]);
}

function numbers(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value >>> 0, index * 4);
  });
  return bytes;
}
