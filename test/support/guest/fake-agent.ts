import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

const FLOOD_BYTES = 48 * 1024;

type Reply = object | 'silence' | 'flood' | 'flood of lines';

/**
 * An agent as the guard sees it: gives the answers that it is told to, and remembers the commands.
 */
export class FakeAgent implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly answers: Record<string, Reply> = {};
  /** Floods the channel once it has answered this. */
  floodsAfter: string | undefined;
  private readonly flooded = Promise.withResolvers<undefined>();
  /** Resolves when somebody has closed the connection on a flood. */
  readonly floodEnded = this.flooded.promise;
  /** How many bytes of floods were read. */
  floodedBytes = 0;
  private readonly sockets = new Set<Socket>();
  private readonly waiting: { command: string; resolve: () => void }[] = [];
  private readonly folder: string;
  private readonly server: Server;

  private constructor(folder: string) {
    this.folder = folder;
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => undefined);
      socket.on('data', (piece) => {
        for (const line of piece
          .toString('latin1')
          .replaceAll('\xff', '')
          .split('\n')
          .filter((text) => text !== '')) {
          this.answer(socket, JSON.parse(line) as { execute: string; arguments: { id?: number } });
        }
      });
    });
  }

  static async listen(): Promise<FakeAgent> {
    const agent = new FakeAgent(await mkdtemp('/tmp/hk-agent-'));
    await new Promise<void>((resolve) => agent.server.listen(agent.path, resolve));
    return agent;
  }

  get path(): string {
    return join(this.folder, 'agent');
  }

  /** Resolves when `command` has come `count` times in all. */
  async wasAsked(command: string, count = 1): Promise<void> {
    while (this.asked.filter((name) => name === command).length < count) {
      await new Promise<void>((resolve) => this.waiting.push({ command, resolve }));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) {
      socket.destroy();
    }
    await new Promise((resolve) => this.server.close(resolve));
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Sends more and more, as fast as it is read, until the connection is closed. */
  private flood(socket: Socket, what: string): void {
    const piece = Buffer.from(what.repeat(FLOOD_BYTES / what.length));
    const more = () => {
      socket.write(piece, (error) => {
        // A failed socket is not destroyed yet, and accepts writes for ever.
        if (error) {
          this.flooded.resolve(undefined);
        } else {
          this.floodedBytes += piece.length;
          more();
        }
      });
    };
    more();
  }

  private answer(
    socket: Socket,
    { execute, arguments: parameters }: { execute: string; arguments: { id?: number } },
  ): void {
    this.asked.push(execute);
    const usual =
      execute === 'guest-sync-delimited'
        ? { return: parameters.id }
        : { return: execute === 'guest-fsfreeze-freeze' ? 2 : 0 };
    const reply = this.answers[execute] ?? usual;
    if (reply === 'flood' || reply === 'flood of lines') {
      this.flood(socket, reply === 'flood' ? 'x' : '{}\n');
    } else if (reply !== 'silence') {
      const mark = execute === 'guest-sync-delimited' ? Buffer.of(0xff) : Buffer.alloc(0);
      socket.write(Buffer.concat([mark, Buffer.from(`${JSON.stringify(reply)}\n`)]));
    }
    if (execute === this.floodsAfter) {
      this.flood(socket, '{"return":0}\n');
    }
    for (const waiting of this.waiting.splice(0)) {
      waiting.resolve();
    }
  }
}
