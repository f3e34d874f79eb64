import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Extent } from '../../../src/disk/extent.ts';
import { QemuEngine, type QemuEngineOptions } from '../../../src/engines/qemu/qemu-engine.ts';
import { QmpClient } from '../../../src/engines/qemu/qmp/qmp-client.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';

const MiB = 1024 * 1024;
const { signal } = new AbortController();

export interface LabDisk {
  readonly name: string;
  readonly format: 'raw' | 'qcow2';
  readonly excluded?: boolean;
  readonly sizeBytes?: number;
  /** Folder of its image; default: the folder of the lab. */
  readonly place?: string;
}

const TWO_DISKS: readonly LabDisk[] = [
  { name: 'system', format: 'qcow2' },
  { name: 'data', format: 'raw' },
  { name: 'swap', format: 'raw', excluded: true },
];

/**
 * A place for QEMU engines: folders, images and a definition of a VM without an operating system,
 * whose "guest" writes through the monitor that the engine does not use. Starts in 100 ms.
 */
export class QemuLab implements AsyncDisposable {
  readonly folder: string;
  readonly definition: VmDefinition;
  private readonly engines: QemuEngine[] = [];

  private constructor(folder: string, definition: VmDefinition) {
    this.folder = folder;
    this.definition = definition;
  }

  static async create(
    disks: readonly LabDisk[] = TWO_DISKS,
    more: Partial<VmDefinition> = {},
  ): Promise<QemuLab> {
    const folder = await mkdtemp('/tmp/hk-lab-');
    const definition = VmDefinition.parse({
      id: randomUUID(),
      name: 'lab-vm',
      memoryMib: 64,
      guestAgent: false,
      ...more,
      disks: disks.map(
        ({ name, format, excluded = false, sizeBytes = 8 * MiB, place = folder }) => {
          const path = join(place, `${name}.${format}`);
          execFileSync('qemu-img', ['create', '-q', '-f', format, path, String(sizeBytes)]);
          return { id: randomUUID(), name, path, format, sizeBytes, excluded };
        },
      ),
    });
    return new QemuLab(folder, definition);
  }

  get vm(): string {
    return this.definition.id;
  }

  get folders() {
    return { stateFolder: join(this.folder, 'state'), runFolder: join(this.folder, 'run') };
  }

  engine(options: Partial<QemuEngineOptions> = {}): QemuEngine {
    const engine = new QemuEngine({
      ...this.folders,
      ...options,
      limits: { freeBytesMin: 0, actionWaitMs: 10_000, ...options.limits },
    });
    this.engines.push(engine);
    return engine;
  }

  /** One command on the second monitor. */
  async qmp<T>(use: (qmp: QmpClient) => Promise<T>): Promise<T> {
    await using qmp = await QmpClient.connect(this.paths.secondMonitor, signal);
    return await use(qmp);
  }

  get paths() {
    return new QemuEngine(this.folders).paths(this.vm);
  }

  async qemuIo(disk: string, command: string): Promise<void> {
    const device = `/machine/peripheral/disk-${disk}/virtio-backend`;
    const said = await this.qmp(async (qmp) =>
      qmp.execute(
        'human-monitor-command',
        { 'command-line': `qemu-io -d ${device} "${command}"` },
        signal,
      ),
    );
    if (said.includes('rror') || said.includes('failed')) {
      throw new Error(`qemu-io ${command}: ${said}`);
    }
  }

  /** Writes and flushes, like a guest whose fsync returned: only that has to survive a kill. */
  async fill(disk: string, { offset, length }: Extent, byte: number): Promise<void> {
    await this.qemuIo(disk, `write -P ${String(byte)} ${String(offset)} ${String(length)}`);
    await this.qemuIo(disk, 'flush');
  }

  /** Writes so that QEMU counts it as a write of the device, which `fill` is not. */
  async writeCounted(disk: string, { offset, length }: Extent): Promise<void> {
    await this.qemuIo(disk, `aio_write -q -P 7 ${String(offset)} ${String(length)}`);
    await this.qemuIo(disk, 'aio_flush');
  }

  async discard(disk: string, { offset, length }: Extent): Promise<void> {
    await this.qemuIo(disk, `write -z -u ${String(offset)} ${String(length)}`);
    await this.qemuIo(disk, 'flush');
  }

  async grow(disk: string, sizeBytes: number): Promise<void> {
    await this.qmp(async (qmp) => {
      const devices = await qmp.execute('query-block', {}, signal);
      const found = devices.find(({ qdev }) => qdev?.includes(`disk-${disk}/`));
      const node = found?.inserted?.['node-name'];
      await qmp.execute('block_resize', { 'node-name': node, size: sizeBytes }, signal);
    });
  }

  /** The path of a disk's image: what the definition names. */
  image(disk: string): string {
    return this.definition.disks.find(({ name }) => name === disk)?.path ?? '';
  }

  /** Returns what qemu-img alone reads from an image and what its header names below it. */
  async content(path: string, format = path.endsWith('.raw') ? 'raw' : 'qcow2'): Promise<Buffer> {
    const copy = join(this.folder, `copy-${randomUUID()}`);
    execFileSync('qemu-img', ['convert', '-q', '-f', format, '-O', 'raw', path, copy]);
    const bytes = await readFile(copy);
    await rm(copy);
    return bytes;
  }

  /** Returns the one byte that fills `range` in a disk's image. */
  async imageByte(disk: string, { offset, length }: Extent): Promise<number> {
    const bytes = (await this.content(this.image(disk))).subarray(offset, offset + length);
    return bytes.every((byte) => byte === bytes[0]) ? (bytes[0] ?? -1) : -1;
  }

  async pid(): Promise<number | undefined> {
    const text = await readFile(this.paths.pid, 'utf8').catch(() => '');
    return text === '' ? undefined : Number.parseInt(text, 10);
  }

  /** Ends QEMU as a power cut would, and waits until it is gone. */
  async killQemu(): Promise<void> {
    const pid = await this.pid();
    if (pid === undefined) {
      return;
    }
    const alive = () => {
      try {
        process.kill(pid, 0);
        return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)])
          .toString()
          .startsWith('Z');
      } catch {
        return false;
      }
    };
    if (alive()) {
      process.kill(pid, 'SIGKILL');
    }
    while (alive()) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Ends everything and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.engines.map(async (engine) => engine.close()));
    await this.killQemu();
    // The processes that write logs end a moment after QEMU.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  }
}
