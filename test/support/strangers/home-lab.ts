import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RealService } from '../service/real-service.ts';
import { Stranger, STRANGER } from './stranger.ts';

const PROGRAM = join(import.meta.dirname, '../../../bin/hyperkeep.mjs');
const PASSPHRASE = 'correct-horse-battery-strangers';

interface Ran {
  readonly exitCode: number;
  readonly text: string;
}

/** Everything below a folder, by what it is. */
interface Below {
  readonly folders: string[];
  readonly files: string[];
  readonly sockets: string[];
}

/**
 * Root's service with a database of its own, a running VM and a vault with a point; and another
 * user of the same machine. `shared` is a folder like /tmp, `theirs` belongs to the other user.
 */
export class HomeLab implements AsyncDisposable {
  readonly folder: string;
  readonly port: number;
  readonly stranger: Stranger;
  private running: RealService;

  private constructor(folder: string, port: number, stranger: Stranger, running: RealService) {
    this.folder = folder;
    this.port = port;
    this.stranger = stranger;
    this.running = running;
  }

  readonly home = (): string => join(this.folder, 'home');
  readonly shared = (): string => join(this.folder, 'shared');
  readonly theirs = (): string => join(this.folder, 'theirs');

  static async make(signal: AbortSignal): Promise<HomeLab> {
    const folder = await mkdtemp(join(tmpdir(), 'hk-strangers-'));
    await chmod(folder, 0o711);
    for (const [name, mode] of [
      ['shared', 0o1777],
      ['theirs', 0o700],
      ['images', 0o700],
    ] as const) {
      await mkdir(join(folder, name));
      await chmod(join(folder, name), mode);
    }
    await chown(join(folder, 'theirs'), STRANGER, STRANGER);
    const port = await freePort();
    const service = await RealService.start(join(folder, 'home'), signal, settings(port));
    const lab = new HomeLab(folder, port, await Stranger.come(), service);
    await lab.fill();
    return lab;
  }

  get pid(): number {
    return this.running.pid;
  }

  async kill(): Promise<void> {
    await this.running.kill();
  }

  async startAgain(signal: AbortSignal): Promise<void> {
    this.running = await RealService.start(this.home(), signal, settings(this.port));
  }

  /** The command line as root types it. */
  async cli(words: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Ran> {
    const env = {
      PATH: process.env['PATH'],
      HOME: join(this.folder, 'images'),
      HYPERKEEP_HOME: this.home(),
      HYPERKEEP_PASSPHRASE: PASSPHRASE,
      ...more,
    };
    return new Promise((resolve) => {
      const cwd = join(this.folder, 'images');
      const child = execFile(
        process.execPath,
        [PROGRAM, ...words],
        { env, cwd },
        (_, out, errors) => {
          resolve({ exitCode: child.exitCode ?? -1, text: out + errors });
        },
      );
    });
  }

  async below(folder: string): Promise<Below> {
    const found: Below = { folders: [folder], files: [], sockets: [] };
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const kind = entry.isDirectory() ? 'folders' : entry.isSocket() ? 'sockets' : 'files';
      found[kind].push(join(entry.parentPath, entry.name));
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cli(['vm', 'destroy', 'web', '--yes']);
    await this.running.stop();
    await this.stranger[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true });
  }

  private async fill(): Promise<void> {
    const image = join(this.folder, 'images', 'web.raw');
    await writeFile(image, Buffer.alloc(1024 * 1024, 7), { mode: 0o600 });
    const definition = join(this.folder, 'images', 'web.json');
    const disks = [{ name: 'system', path: image, format: 'raw' }];
    const vm = { name: 'web', memoryMib: 64, cpus: 1, firmware: { kind: 'bios' }, disks, nics: [] };
    await writeFile(definition, JSON.stringify(vm));
    const vault = join(this.shared(), 'vault');
    await this.must(['vault', 'create', 'main', '--location', vault]);
    await this.must(['vm', 'start', definition]);
    await this.must(['backup', 'web', '--vault', 'main', '--crash-consistent', '--wait']);
  }

  /** @throws when the command does not end well */
  async must(words: readonly string[]): Promise<void> {
    const { exitCode, text } = await this.cli(words);
    if (exitCode !== 0) {
      throw new Error(`hyperkeep ${words.join(' ')} ended with ${String(exitCode)}:\n${text}`);
    }
  }
}

const settings = (port: number): Record<string, string> => ({ HTTP_PORT: String(port) });

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
