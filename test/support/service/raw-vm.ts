import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceClient } from '../../../src/cli/service/service-client.ts';
import { seededBytes } from '../random/seeded-bytes.ts';

/** A VM of a test, with one raw disk whose content follows from its name. */
export interface RawVm {
  /** Of the disk. */
  readonly folder: string;
  readonly name: string;
  readonly bytes: number;
  readonly memoryMib?: number;
  readonly guestAgent?: boolean;
}

/** Makes the disk, and adds the VM. */
export async function addRawVm(
  client: ServiceClient,
  { folder, name, bytes, ...settings }: RawVm,
  signal: AbortSignal,
): Promise<void> {
  const path = join(folder, `${name}.raw`);
  await writeFile(path, seededBytes(name, bytes));
  const disks = [{ name: 'system', path, format: 'raw' as const }];
  await client.call('addVm', { body: { name, disks, ...settings } }, signal);
}
