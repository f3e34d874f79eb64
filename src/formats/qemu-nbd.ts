import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { plainEnvironment, requireStart } from '../kernel/command.ts';
import { chown, rm } from '../kernel/files/files.ts';
import { confineReadingTool, confineTool } from './confinement.ts';
import { imageGraph, type ImageLayer } from './image-layer.ts';
import { makeSocketFolder } from './socket-folder.ts';
import { toolFault } from './tool-fault.ts';

export interface QemuNbdOptions {
  /** Base first. Only the last one is written, and only if `writable`. */
  readonly layers: readonly [ImageLayer, ...ImageLayer[]];
  /** Default false: the image cannot be changed, and the server reports allocation depth. */
  readonly writable?: boolean;
  /** Connections at a time. Default 16. */
  readonly connectionsMax?: number;
}

const CONNECTIONS_MAX = 16;
/** `sun_path` has 108 bytes; QEMU's paths and ours both need some room. */
const SOCKET_PATH_BYTES_MAX = 100;
const START_MS_MAX = 30_000;
const FIRST_LOOK_MS = 2;
const LOOK_MS_MAX = 50;
/** Time for a clean end: a written image is flushed, and its tables are stored. */
const STOP_MS_MAX = 30_000;
const MESSAGE_BYTES_MAX = 16 * 1024;

/**
 * A qemu-nbd that serves an explicit chain of images on a unix socket in a folder of its own. It
 * takes QEMU's image locks (never `-U`), so a merge into an image that is being read fails cleanly.
 * The export's name is empty. It ends with `close`, and at the latest with this process.
 */
export class QemuNbdServer implements AsyncDisposable {
  readonly socketPath: string;
  readonly pid: number;
  private readonly child: ChildProcess;
  private readonly folder: string;
  private readonly writable: boolean;
  private readonly messages: () => string;
  /** Resolves once it has exited and all its output has arrived. */
  private readonly closed: Promise<unknown>;
  private closing: Promise<void> | undefined;

  private constructor(child: ChildProcess, folder: string, writable: boolean) {
    this.child = child;
    this.pid = child.pid ?? 0; // Without a pid it was not spawned, and no caller gets it.
    this.folder = folder;
    this.socketPath = socketPathIn(folder);
    this.writable = writable;
    this.messages = collectMessages(child);
    this.closed = once(child, 'close');
  }

  /**
   * Resolves once the server listens.
   *
   * @throws Fault `formats.image-in-use` if another program writes the image,
   *   `formats.image-missing`, `formats.tool-failed`, `command.missing`
   */
  static async start(options: QemuNbdOptions, signal: AbortSignal): Promise<QemuNbdServer> {
    signal.throwIfAborted();
    const folder = await makeSocketFolder(
      (path) => Buffer.byteLength(socketPathIn(path)) <= SOCKET_PATH_BYTES_MAX,
    );
    let server: QemuNbdServer | undefined;
    try {
      server = await QemuNbdServer.spawnIn(folder, options);
      await server.listening(signal);
      return server;
    } catch (error) {
      // Before it serves, qemu-nbd can lose a SIGTERM; nothing is written yet.
      await (server?.stop('SIGKILL') ?? rm(folder, { recursive: true, force: true }));
      throw error;
    }
  }

  /**
   * Ends the server; that of a written image after its tables are stored.
   *
   * @throws Fault `formats.tool-failed` if a server that writes did not end cleanly
   */
  async close(): Promise<void> {
    this.closing ??= this.stop('SIGTERM').then((clean) => {
      if (!clean && this.writable) {
        throw toolFault('qemu-nbd', this.messages() || 'it did not end cleanly');
      }
    });
    await this.closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private static async spawnIn(folder: string, options: QemuNbdOptions): Promise<QemuNbdServer> {
    const writable = options.writable === true;
    const parameters = [
      ...['--persistent', `--shared=${String(options.connectionsMax ?? CONNECTIONS_MAX)}`],
      ...['--socket', socketPathIn(folder), '--export-name', ''],
      ...(writable ? [] : ['--read-only', '--allocation-depth']),
      imageGraph(options.layers, { writable }),
    ];
    const tool = writable
      ? confineTool('qemu-nbd', parameters)
      : await confineReadingTool('qemu-nbd', parameters);
    if (tool.uid !== undefined) {
      await chown(folder, tool.uid, tool.uid);
    }
    const child = spawn(tool.file, tool.parameters, {
      env: plainEnvironment(),
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await requireStart(child, tool.file);
    return new QemuNbdServer(child, folder, writable);
  }

  private get hasExited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Waits for the greeting: qemu-nbd does not report that it is ready. */
  private async listening(signal: AbortSignal): Promise<void> {
    const started = performance.now();
    for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(2 * waitMs, LOOK_MS_MAX)) {
      if (await greets(this.socketPath, signal)) {
        return;
      }
      signal.throwIfAborted();
      if (this.hasExited) {
        await this.closed;
        throw toolFault('qemu-nbd', this.messages());
      }
      if (performance.now() - started > START_MS_MAX) {
        throw toolFault('qemu-nbd', 'it did not start in time');
      }
      await delay(waitMs, undefined, { signal });
    }
  }

  /** Returns whether the server ended by itself and without an error. */
  private async stop(how: 'SIGTERM' | 'SIGKILL'): Promise<boolean> {
    this.child.kill(how);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS_MAX);
    await this.closed;
    clearTimeout(timer);
    await rm(this.folder, { recursive: true, force: true });
    return this.child.exitCode === 0;
  }
}

function collectMessages(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    text = (text + piece).slice(-MESSAGE_BYTES_MAX);
  });
  return () => text.trim();
}

function socketPathIn(folder: string): string {
  return join(folder, 'nbd.sock');
}

/** Whether the server greets: its socket accepts connections before the image is open. */
async function greets(path: string, signal: AbortSignal): Promise<boolean> {
  const socket = connect({ path, signal });
  socket.setTimeout(START_MS_MAX, () => socket.destroy());
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once('data', () => {
        resolve(true);
      });
      // The server is missing, not listening yet or ended: the caller tries again, or finds the
      // exit.
      socket.once('error', () => undefined);
      socket.once('close', () => {
        resolve(false);
      });
    });
  } finally {
    socket.destroy();
  }
}
