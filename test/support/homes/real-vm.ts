import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ServiceClient } from '../../../src/cli/service/service-client.ts';
import { GuestAgent } from '../../../src/engines/qemu/guest/guest-agent.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import type { VmDefinition } from '../../../src/vm/definition.ts';
import { makeGuestVm, SerialLog } from '../guest/guest.ts';

const DATA_BYTES = 128 * MiB;
const WRITER_PAUSE_MS = 1000;
const AGENT_TIMEOUT_MS = 300_000;
const { signal } = new AbortController();

/** A VM of QEMU whose guest writes. */
export class RealVm {
  readonly definition: VmDefinition;
  readonly #run: string;
  readonly #serial: SerialLog;

  private constructor(definition: VmDefinition, home: string) {
    this.definition = definition;
    this.#run = join(home, 'run', definition.id);
    this.#serial = new SerialLog(join(this.#run, 'serial.log'));
  }

  /** Adds one to a service, and resolves when its guest writes. */
  static async add(client: ServiceClient, home: string, name: string): Promise<RealVm> {
    const definition = await makeGuestVm(join(home, 'disks'), {
      ...{ name, dataBytes: DATA_BYTES, writerPauseMs: WRITER_PAUSE_MS },
    });
    const vm = new RealVm(definition, home);
    await client.call('addVm', { body: definition }, signal);
    await client.call('startVm', { path: { vm: definition.id } }, signal);
    await vm.#serial.waitForReady();
    return vm;
  }

  /** Returns whether its file systems are frozen, or its writer does not go on. */
  async isFrozen(): Promise<boolean> {
    await using agent = await GuestAgent.connect(
      join(this.#run, 'agent'),
      AGENT_TIMEOUT_MS,
      signal,
    );
    if ((await agent.freezeStatus(AGENT_TIMEOUT_MS, signal)) !== 'thawed') {
      return true;
    }
    const { lines } = await this.#serial.lastJournalLine();
    await this.#serial.waitForJournal(lines + 2);
    return false;
  }

  /** Powers it off. @returns the files that are left beside the images of its disks */
  async stop(client: ServiceClient): Promise<string[]> {
    const { id, disks } = this.definition;
    const body = { force: true, wait: true };
    await client.call('stopVm', { path: { vm: id }, body }, signal);
    const images = new Set(disks.map(({ path }) => path));
    const folder = dirname(disks[0]?.path ?? '');
    const files = (await readdir(folder)).map((file) => join(folder, file));
    return files.filter((path) => !images.has(path));
  }
}
