import { randomBytes, randomUUID } from 'node:crypto';
import { Fault } from '../kernel/fault.ts';
import { schemaProblems } from '../kernel/text/schema-problems.ts';
import { wholeSectors } from '../disk/sectors.ts';
import { checkedDefinition } from './checked-definition.ts';
import { VmDefinition, type DiskDefinition, type FirmwareDefinition } from './definition.ts';

/** Files of this host that a VM starts from, never taken from a recovery point. */
export interface BootFiles {
  readonly codePath?: string;
  readonly kernelPath?: string;
  readonly initrdPath?: string;
}

export interface RestoredAs {
  readonly name: string;
  /**
   * Gives new ids and MAC addresses, so that the original and the restored VM can run side by side.
   */
  readonly newIdentity: boolean;
  readonly format: 'raw' | 'qcow2';
  /** Where each restored disk is, by its id in the recovery point. Other disks are left out. */
  readonly diskPaths: ReadonlyMap<string, string>;
  readonly nvramPath?: string;
  readonly bootFiles: BootFiles;
}

/** Returns the definition in a recovery point, checked as hostile input. */
export function storedDefinition(configuration: unknown): VmDefinition {
  const parsed = VmDefinition.safeParse(configuration);
  if (!parsed.success) {
    throw new Fault(
      'point.definition-invalid',
      `The recovery point's VM definition cannot be used (${schemaProblems(parsed.error, 'definition')}). Restore its disks one by one with --disk.`,
    );
  }
  return parsed.data;
}

/**
 * Returns `stored` at its new place: every path is local, and nothing of the old host is left.
 *
 * @throws Fault `vm.definition-invalid` if no VM can be at the place, `restore.firmware-not-chosen`
 */
export function restoredDefinition(stored: VmDefinition, place: RestoredAs): VmDefinition {
  const { newIdentity } = place;
  const definition = {
    ...stored,
    id: newIdentity ? randomUUID() : stored.id,
    name: place.name,
    firmware: restoredFirmware(stored.firmware, place),
    disks: stored.disks.flatMap((disk) => restoredDisk(disk, place)),
    nics: stored.nics.map((nic) => (newIdentity ? { ...nic, mac: newMacAddress() } : nic)),
  };
  return checkedDefinition(definition, 'The VM cannot be restored there');
}

function restoredDisk(disk: DiskDefinition, place: RestoredAs): DiskDefinition[] {
  const path = place.diskPaths.get(disk.id);
  if (path === undefined) {
    return [];
  }
  const id = place.newIdentity ? randomUUID() : disk.id;
  return [{ ...disk, id, path, format: place.format, sizeBytes: wholeSectors(disk.sizeBytes) }];
}

function restoredFirmware(stored: FirmwareDefinition, place: RestoredAs): FirmwareDefinition {
  const { codePath, kernelPath, initrdPath } = place.bootFiles;
  switch (stored.kind) {
    case 'bios':
      return stored;
    case 'uefi':
      if (codePath === undefined || place.nvramPath === undefined) {
        throw new Fault(
          'restore.firmware-not-chosen',
          `The VM boots with UEFI (${stored.codePath} on its old host). Name the firmware code on this host with --firmware-code FILE.`,
        );
      }
      return { kind: 'uefi', codePath, nvramPath: place.nvramPath };
    case 'kernel':
      if (
        kernelPath === undefined ||
        (stored.initrdPath !== undefined && initrdPath === undefined)
      ) {
        const files = [stored.kernelPath, stored.initrdPath].filter((file) => file !== undefined);
        throw new Fault(
          'restore.firmware-not-chosen',
          `The VM boots a kernel directly (${files.join(', ')} on its old host). Name the files on this host with --kernel FILE${stored.initrdPath === undefined ? '' : ' --initrd FILE'}.`,
        );
      }
      return {
        kind: 'kernel',
        kernelPath,
        ...(initrdPath === undefined ? {} : { initrdPath }),
        commandLine: stored.commandLine,
      };
  }
}

/** Locally administered, in QEMU's own range. */
function newMacAddress(): string {
  const tail = [...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0'));
  return `52:54:00:${tail.join(':')}`;
}
