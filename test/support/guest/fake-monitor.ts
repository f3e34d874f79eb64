import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

const GREETING = {
  QMP: { version: { qemu: { major: 7, minor: 2, micro: 22 } }, capabilities: [] },
};

type Answer = (
  command: { execute: string; id: number },
  say: (message: object | string) => void,
) => void;

/** A monitor that answers as a test says. */
export class FakeMonitor implements AsyncDisposable {
  readonly path: string;
  private readonly folder: string;
  private readonly server: Server;
  readonly sockets: Socket[] = [];
  private readonly waiting: (() => void)[] = [];

  private constructor(folder: string, answer: Answer, greeting: object | 'none') {
    this.folder = folder;
    this.path = join(folder, 'qmp');
    this.server = createServer((socket) => {
      this.sockets.push(socket);
      for (const resolve of this.waiting.splice(0)) {
        resolve();
      }
      const say = (message: object | string) =>
        socket.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`);
      socket.on('error', () => undefined);
      socket.on('data', (piece) => {
        for (const line of piece.toString().trim().split('\n')) {
          const command = JSON.parse(line) as { execute: string; id: number };
          if (command.execute === 'qmp_capabilities') {
            say({ return: {}, id: command.id });
          } else {
            answer(command, say);
          }
        }
      });
      if (greeting !== 'none') {
        say(greeting);
      }
    });
  }

  static async listen(answer: Answer, greeting: object | 'none' = GREETING): Promise<FakeMonitor> {
    const monitor = new FakeMonitor(await mkdtemp('/tmp/hk-qmp-'), answer, greeting);
    await new Promise<void>((resolve) => monitor.server.listen(monitor.path, resolve));
    return monitor;
  }

  /** Resolves when somebody has connected. */
  async connected(): Promise<void> {
    if (this.sockets.length === 0) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  /** Greets everybody who is connected, late. */
  greet(): void {
    for (const socket of this.sockets) {
      socket.write(`${JSON.stringify(GREETING)}\n`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) {
      socket.destroy();
    }
    await new Promise((resolve) => this.server.close(resolve));
    await rm(this.folder, { recursive: true, force: true });
  }
}
