import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDataDisk, makeSystemDisk, type TestGuest } from '../scripts/guest/image.ts';

export interface WriterVm {
  readonly name: string;
  readonly memoryMib: number;
  readonly dataBytes: number;
  /** Pause between two writes of the guest. */
  readonly pauseMs: number;
}

/**
 * Makes the disks of a VM whose guest writes all the time, and its definition.
 * @returns path of the definition, in `folder`
 */
export async function makeWriterVm(
  folder: string,
  guest: TestGuest,
  { name, memoryMib, dataBytes, pauseMs }: WriterVm,
): Promise<string> {
  const system = join(folder, `${name}-system.qcow2`);
  const data = join(folder, `${name}-data.qcow2`);
  await makeSystemDisk(guest, system);
  await makeDataDisk(data, dataBytes);
  const definition = {
    name,
    memoryMib,
    firmware: {
      kind: 'kernel',
      kernelPath: guest.kernelPath,
      initrdPath: guest.initrdPath,
      commandLine: `${guest.commandLine} hk.writer=${String(pauseMs)}`,
    },
    disks: [
      { name: 'system', path: system, format: 'qcow2' },
      { name: 'data', path: data, format: 'qcow2' },
    ],
  };
  const path = join(folder, `${name}.json`);
  await writeFile(path, JSON.stringify(definition, undefined, 2));
  return path;
}
