import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Vm } from '../../src/api/contract/vms.ts';
import { MiB } from '../../src/kernel/text/bytes.ts';
import { makeDataDisk, makeSystemDisk, type TestGuest } from '../../scripts/guest/image.ts';
import { SerialLog } from '../../scripts/guest/serial-log.ts';
import type { CommandLine } from '../command-line.ts';

/** Ten times what an emulated guest on a slow machine needs. */
const GUEST_TIMEOUT_MS = 180_000;
const DATA_DISK_BYTES = 256 * MiB;
/** Pause between two writes of the guest. */
const WRITER_PAUSE_MS = 250;

/** The VMs of the day. */
export class Guests {
  private readonly folder: string;
  private readonly guest: TestGuest;
  private readonly commands: CommandLine;
  readonly names: string[] = [];

  constructor(folder: string, guest: TestGuest, commands: CommandLine) {
    this.folder = folder;
    this.guest = guest;
    this.commands = commands;
  }

  /** Makes its disks and its definition. */
  async prepare(name: string): Promise<void> {
    const { guest, folder } = this;
    const system = join(folder, `${name}-system.qcow2`);
    const data = join(folder, `${name}-data.qcow2`);
    await makeSystemDisk(guest, system);
    await makeDataDisk(data, DATA_DISK_BYTES);
    const definition = {
      name,
      memoryMib: 192,
      firmware: {
        kind: 'kernel',
        kernelPath: guest.kernelPath,
        initrdPath: guest.initrdPath,
        commandLine: `${guest.commandLine} hk.writer=${String(WRITER_PAUSE_MS)}`,
      },
      disks: [
        { name: 'system', path: system, format: 'qcow2' },
        { name: 'data', path: data, format: 'qcow2' },
      ],
    };
    await writeFile(this.file(name), JSON.stringify(definition, undefined, 2));
  }

  /** @returns its id */
  async start(name: string, signal: AbortSignal): Promise<string> {
    this.names.push(name);
    return Vm.parse(await this.commands.run(['vm', 'start', this.file(name)], signal)).id;
  }

  /** Resolves when the guest is up. */
  async isReady(id: string, signal: AbortSignal): Promise<void> {
    const log = new SerialLog(join(this.folder, 'home', 'run', id, 'serial.log'));
    await log.waitForReady(AbortSignal.any([AbortSignal.timeout(GUEST_TIMEOUT_MS), signal]));
  }

  /** Stops all of them, whatever happened before. */
  async stop(): Promise<void> {
    for (const name of this.names) {
      // One that never started is no new failure: that of the demo is the one to show.
      await this.commands
        .runSilently(['vm', 'stop', name, '--force'], new AbortController().signal)
        .catch(() => undefined);
    }
  }

  private file(name: string): string {
    return join(this.folder, `${name}.json`);
  }
}
