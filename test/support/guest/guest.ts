import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureTestGuest, makeDataDisk, makeSystemDisk } from '../../../scripts/guest/image.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { makeUefiParts } from './uefi-guest.ts';

export { checkJournal } from '../../../scripts/guest/check-journal.ts';
export { SerialLog } from '../../../scripts/guest/serial-log.ts';

const GIB = 1024 ** 3;

export interface GuestVmOptions {
  readonly name?: string;
  /** Size of the data disk. Default 1 GiB, sparse. */
  readonly dataBytes?: number;
  /** Format of both disks. Default qcow2. */
  readonly format?: 'raw' | 'qcow2';
  /** Start the writer at boot with this pause between lines. Default: not at boot. */
  readonly writerPauseMs?: number;
  /** Boot from a disk of its own by UEFI, with a variable store. Default: the kernel directly. */
  readonly uefi?: boolean;
}

/**
 * Makes the two disks of a test guest in `folder` (system: 512 MiB, data: empty ext4) and returns
 * its definition, ready for `engine.add`.
 */
export async function makeGuestVm(
  folder: string,
  options: GuestVmOptions = {},
): Promise<VmDefinition> {
  const { name = 'guest', dataBytes = GIB, format = 'qcow2', writerPauseMs } = options;
  const guest = await ensureTestGuest();
  await mkdir(folder, { recursive: true });
  const systemPath = join(folder, `${name}-system.${format}`);
  const dataPath = join(folder, `${name}-data.${format}`);
  await makeSystemDisk(guest, systemPath);
  await makeDataDisk(dataPath, dataBytes);
  const tail = randomBytes(3).toString('hex').match(/../g) ?? [];
  const writer = writerPauseMs === undefined ? '' : ` hk.writer=${writerPauseMs}`;
  const commandLine = `${guest.commandLine}${writer}`;
  const uefi =
    options.uefi === true ? await makeUefiParts(guest, { folder, name, commandLine }) : undefined;
  const { kernelPath, initrdPath } = guest;
  return VmDefinition.parse({
    id: randomUUID(),
    name,
    memoryMib: 256,
    firmware: uefi?.firmware ?? { kind: 'kernel', kernelPath, initrdPath, commandLine },
    disks: [
      ...(uefi === undefined ? [] : [uefi.disk]),
      disk('system', systemPath, format, guest.systemSizeBytes),
      disk('data', dataPath, format, dataBytes),
    ],
    nics: [{ mac: ['52:54:00', ...tail].join(':'), network: 'none' }],
  });
}

function disk(name: string, path: string, format: string, sizeBytes: number): object {
  return { id: randomUUID(), name, path, format, sizeBytes };
}
