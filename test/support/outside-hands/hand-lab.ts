import { execFile, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { QemuEngine } from '../../../src/engines/qemu/qemu-engine.ts';
import { VmState, type DiskState, type Layer } from '../../../src/engines/qemu/state/vm-state.ts';
import { imageFacts } from '../../../src/formats/qemu-img.ts';
import { isFault } from '../../../src/kernel/fault.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { QemuLab, type LabDisk } from '../guest/qemu-lab.ts';

const run = promisify(execFile);
const MiB = 1024 * 1024;
const { signal } = new AbortController();

/** A qcow2 disk and a raw one. */
const DISKS: readonly LabDisk[] = [
  { name: 'system', format: 'qcow2', sizeBytes: 2 * MiB },
  { name: 'data', format: 'raw', sizeBytes: 2 * MiB },
];

/**
 * A VM with disks in a folder of their own, which administrators change, and what other tools read
 * from its disks.
 */
export class HandLab implements AsyncDisposable {
  readonly lab: QemuLab;
  readonly definition: VmDefinition;
  readonly diskFolder: string;
  engine: QemuEngine;
  private files = 0;

  private constructor(lab: QemuLab, definition: VmDefinition, diskFolder: string) {
    this.lab = lab;
    this.definition = definition;
    this.diskFolder = diskFolder;
    this.engine = lab.engine();
  }

  static async create(): Promise<HandLab> {
    const lab = await QemuLab.create(DISKS);
    const folder = join(lab.folder, 'disks');
    mkdirSync(folder);
    const disks = lab.definition.disks.map((disk) => {
      const path = join(folder, `${disk.name}.${disk.format}`);
      renameSync(disk.path, path);
      return { ...disk, path };
    });
    const hands = new HandLab(lab, VmDefinition.parse({ ...lab.definition, disks }), folder);
    await hands.engine.add(hands.definition, signal);
    return hands;
  }

  get vm(): string {
    return this.definition.id;
  }

  /** Whether a QEMU runs; only this lab starts and ends any. */
  get isRunning(): boolean {
    return existsSync(this.lab.paths.pid);
  }

  state(): VmState {
    return VmState.parse(JSON.parse(readFileSync(this.lab.paths.state, 'utf8')));
  }

  disk(name: string): DiskState {
    const id = this.definition.disks.find((disk) => disk.name === name)?.id;
    const found = this.state().disks.find((disk) => disk.id === id);
    if (found === undefined) {
      throw new Error(`no disk ${name}`);
    }
    return found;
  }

  /**
   * Releases the VM, and adds it again with the present sizes of its images. Where a release names
   * a command that makes it possible, follows that.
   * @returns whether disks were lengthened for it
   */
  async releaseAndAdd(): Promise<boolean> {
    const { released, wasLengthened } = await this.released();
    const disks = [];
    for (const disk of released.disks) {
      const { virtualSize } = await imageFacts(disk, signal);
      disks.push({ ...disk, sizeBytes: virtualSize });
    }
    await this.engine.add({ ...released, disks }, signal);
    return wasLengthened;
  }

  private async released(): Promise<{ released: VmDefinition; wasLengthened: boolean }> {
    for (let left = DISKS.length; ; left -= 1) {
      try {
        const released = await this.engine.release(this.vm, signal);
        return { released, wasLengthened: left < DISKS.length };
      } catch (error) {
        const [, command] = /with: (qemu-img resize [^)]+)/.exec(String(error)) ?? [];
        if (left === 0 || !isFault(error, 'engine.merge-failed') || command === undefined) {
          throw error;
        }
        await this.tool('sh', '-c', command);
      }
    }
  }

  /** Lets another service take over; no background work of the old one goes on. */
  async nextService(): Promise<void> {
    await this.engine.close();
    this.engine = this.lab.engine();
  }

  /** Returns an unused name outside the folder of the disks. */
  newPath(): string {
    this.files += 1;
    return join(this.lab.folder, `file-${String(this.files)}`);
  }

  /** Returns what qemu-img reads from a chain of images, without our code. */
  async read(layers: readonly Layer[]): Promise<Buffer> {
    const target = this.newPath();
    await this.tool('qemu-img', 'convert', '-U', '-O', 'raw', graph(layers), target);
    const content = readFileSync(target);
    rmSync(target);
    return content;
  }

  /** Whether the overlay itself holds anything. */
  async holdsData(overlay: Layer): Promise<boolean> {
    const parameters = ['map', '-U', '--output=json', graph([overlay])];
    const { stdout } = await run('qemu-img', parameters);
    return (JSON.parse(stdout) as { present: boolean }[]).some(({ present }) => present);
  }

  /** @throws if the tool refuses */
  async tool(file: string, ...parameters: readonly string[]): Promise<void> {
    await run(file, parameters);
  }

  /** Returns every file in the folder of the disks, by its content. */
  hashes(): Map<string, string> {
    return new Map(
      readdirSync(this.diskFolder).map((name) => {
        const content = readFileSync(join(this.diskFolder, name));
        return [name, createHash('sha256').update(content).digest('hex')] as const;
      }),
    );
  }

  /**
   * Kills QEMU and starts it again with its own parameters, as from a shell's history: they name
   * the layers of its start. @returns false if QEMU does not start with them
   */
  async restartQemuByHand(): Promise<boolean> {
    const pid = String(await this.lab.pid());
    const [file = '', ...parameters] = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      .replace(/\0$/, '')
      .split('\0');
    await this.lab.killQemu();
    for (const name of ['qmp', 'qmp2', 'agent', 'pid']) {
      rmSync(join(this.lab.paths.runFolder, name), { force: true });
    }
    const child = spawn(file, parameters, { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    child.unref();
    await once(child, 'spawn');
    const ended = once(child, 'exit');
    const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
    const answers = async () =>
      this.lab
        .qmp(async (qmp) => qmp.execute('query-status', {}, signal))
        .then(
          () => true,
          () => false,
        );
    while (!hasEnded() && !(await answers())) {
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 5))]);
    }
    child.stdout.destroy();
    return !hasEnded();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (isMounted(this.diskFolder)) {
      execFileSync('umount', [this.diskFolder]);
    }
    await this.lab[Symbol.asyncDispose]();
  }
}

export function isMounted(folder: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${folder} `);
}

/** Every driver and backing file is explicit, so nothing in a header is trusted. */
function graph(layers: readonly Layer[]): string {
  let below: object | null = null;
  for (const { path, format } of layers) {
    const file = { driver: 'file', filename: path };
    below = { driver: format, file, ...(format === 'raw' ? {} : { backing: below }) };
  }
  return `json:${JSON.stringify(below)}`;
}
