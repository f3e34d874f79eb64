import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestGuest } from '../../../scripts/guest/image.ts';
import { runCommand } from '../../../src/kernel/command.ts';
import { fat16Volume } from './fat16.ts';
import { storeWithBootEntry } from './uefi-variables.ts';

/** Debian's package `ovmf`. */
export const OVMF = {
  code: '/usr/share/OVMF/OVMF_CODE_4M.fd',
  variables: '/usr/share/OVMF/OVMF_VARS_4M.fd',
} as const;

const MIB = 1024 * 1024;
const DISK_BYTES = 34 * MIB;
const PARTITION_BYTES = 32 * MIB;
const SECTOR_BYTES = 512;
const SIGNATURE = 0x686b_0001;
const EFI_SYSTEM = 0xef;

interface Place {
  readonly folder: string;
  readonly name: string;
  readonly commandLine: string;
}

/** What a UEFI guest has beyond the others: its firmware, and the disk that the firmware boots. */
export interface UefiParts {
  readonly firmware: object;
  readonly disk: object;
}

/**
 * Makes an EFI system partition with the guest's kernel (which is an EFI program) and a variable
 * store whose boot entry names the kernel and its command line. Neither boots without the other.
 */
export async function makeUefiParts(
  guest: TestGuest,
  { folder, name, commandLine }: Place,
): Promise<UefiParts> {
  const path = join(folder, `${name}-boot.raw`);
  const nvramPath = join(folder, `${name}-nvram.qcow2`);
  const volume = fat16Volume(PARTITION_BYTES, [
    { name: 'VMLINUZ.EFI', content: await readFile(guest.kernelPath) },
    { name: 'INITRD.GZ', content: await readFile(guest.initrdPath) },
  ]);
  await writeFile(path, Buffer.concat([partitionTable(), volume, Buffer.alloc(MIB)]));
  const store = await storeWithBootEntry(OVMF.variables, {
    partitionStart: MIB / SECTOR_BYTES,
    partitionSectors: PARTITION_BYTES / SECTOR_BYTES,
    diskSignature: SIGNATURE,
    file: String.raw`\VMLINUZ.EFI`,
    commandLine: String.raw`${commandLine} initrd=\INITRD.GZ`,
  });
  const raw = `${nvramPath}.raw`;
  await writeFile(raw, store);
  const { signal } = new AbortController();
  await runCommand('qemu-img', ['convert', '-O', 'qcow2', raw, nvramPath], signal);
  await rm(raw);
  return {
    firmware: { kind: 'uefi', codePath: OVMF.code, nvramPath },
    disk: { id: randomUUID(), name: 'boot', path, format: 'raw', sizeBytes: DISK_BYTES },
  };
}

/** The first MiB of a disk with one EFI system partition behind it. */
function partitionTable(): Buffer {
  const table = Buffer.alloc(MIB);
  table.writeUInt32LE(SIGNATURE, 440);
  table.set([0, 0xfe, 0xff, 0xff, EFI_SYSTEM, 0xfe, 0xff, 0xff], 446);
  table.writeUInt32LE(MIB / SECTOR_BYTES, 454);
  table.writeUInt32LE(PARTITION_BYTES / SECTOR_BYTES, 458);
  table.writeUInt16LE(0xaa55, 510);
  return table;
}
