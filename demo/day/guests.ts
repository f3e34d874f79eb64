import { join } from 'node:path';
import { Vm } from '../../src/api/contract/vms.ts';
import { MiB } from '../../src/kernel/text/bytes.ts';
import type { TestGuest } from '../../scripts/guest/image.ts';
import { SerialLog } from '../../scripts/guest/serial-log.ts';
import type { CommandLine } from '../command-line.ts';
import { makeWriterVm } from '../writer-vm.ts';

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
    await makeWriterVm(this.folder, this.guest, {
      name,
      memoryMib: 192,
      dataBytes: DATA_DISK_BYTES,
      pauseMs: WRITER_PAUSE_MS,
    });
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
