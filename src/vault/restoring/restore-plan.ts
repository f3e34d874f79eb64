import { join } from 'node:path';
import { Fault } from '../../kernel/fault.ts';
import { NVRAM_FILE, type PointDisk, type RecoveryPoint } from '../points/recovery-point.ts';
import { VmName, type FirmwareDefinition, type VmDefinition } from '../../vm/definition.ts';
import {
  restoredDefinition,
  storedDefinition,
  type BootFiles,
} from '../../vm/restored-definition.ts';

export type ImageFormat = 'raw' | 'qcow2';

export interface PlannedDisk {
  readonly disk: PointDisk;
  readonly path: string;
}

/** What a restore will write. Planning touches nothing. */
export interface RestorePlan {
  readonly point: RecoveryPoint;
  readonly format: ImageFormat;
  readonly disks: readonly PlannedDisk[];
  readonly nvramPath?: string;
  /** Written last: once it is there, the restore is whole. Undefined when one disk is restored. */
  readonly definition?: { readonly path: string; readonly content: VmDefinition };
  readonly notes: readonly string[];
}

export interface VmPlace {
  readonly folder: string;
  readonly format: ImageFormat;
  /** With a new name the VM gets new ids and MAC addresses; undefined restores it as it was. */
  readonly newName?: string;
  readonly bootFiles: BootFiles;
}

/** @throws Fault if the point's names or definition do not fit this host */
export function planVm(point: RecoveryPoint, place: VmPlace): RestorePlan {
  const stored = storedDefinition(point.configuration);
  const name = fileName(place.newName ?? stored.name);
  const disks = point.disks.map((disk) => ({
    disk,
    path: join(place.folder, `${name}-${fileName(disk.name)}.${place.format}`),
  }));
  const nvramPath = point.files.some((file) => file.name === NVRAM_FILE)
    ? join(place.folder, `${name}-nvram.qcow2`)
    : undefined;
  const content = restoredDefinition(stored, {
    name,
    newIdentity: place.newName !== undefined,
    format: place.format,
    diskPaths: new Map(disks.map(({ disk, path }) => [disk.diskId, path])),
    bootFiles: place.bootFiles,
    ...(nvramPath === undefined ? {} : { nvramPath }),
  });
  return {
    point,
    format: place.format,
    disks,
    ...(nvramPath === undefined || stored.firmware.kind !== 'uefi' ? {} : { nvramPath }),
    definition: { path: join(place.folder, `${name}.json`), content },
    notes: stored.disks
      .filter(({ id }) => !point.disks.some(({ diskId }) => diskId === id))
      .map(({ name: disk }) => `Disk ${disk} is not in the recovery point and was left out.`),
  };
}

/** @param disk name or id; optional if the point has one disk */
export function planDisk(
  point: RecoveryPoint,
  disk: string | undefined,
  target: { readonly file: string; readonly format: ImageFormat },
): RestorePlan {
  const [only, ...others] = disksOf(point, disk);
  if (only === undefined || others.length > 0) {
    throw unknownDisk(point, disk);
  }
  return {
    point,
    format: target.format,
    disks: [{ disk: only, path: target.file }],
    notes: [],
  };
}

/**
 * Returns the disks of a name or id, or all.
 * @throws Fault `point.disk-unknown` if there is none
 */
export function disksOf(point: RecoveryPoint, disk: string | undefined): PointDisk[] {
  const found = point.disks.filter(
    ({ name, diskId }) => disk === undefined || name === disk || diskId === disk,
  );
  if (found.length === 0) {
    throw unknownDisk(point, disk);
  }
  return found;
}

function unknownDisk(point: RecoveryPoint, disk: string | undefined): Fault {
  const names = point.disks.map(({ name }) => name).join(', ');
  return new Fault(
    'point.disk-unknown',
    `${disk === undefined ? 'Say which disk' : `The recovery point has no disk ${disk}`}; it has: ${names}.`,
    { pointId: point.id },
  );
}

/** Returns every file that the plan writes, the definition last. */
export function filesOf({ disks, nvramPath, definition }: RestorePlan): string[] {
  return [
    ...disks.map(({ path }) => path),
    ...(nvramPath === undefined ? [] : [nvramPath]),
    ...(definition === undefined ? [] : [definition.path]),
  ];
}

/**
 * Returns the files to boot from. What the caller asked for comes first. Paths in a point are
 * hostile: they count only if a VM of this host boots from the same file, because then somebody
 * here chose it.
 */
export function bootFilesFor(
  stored: FirmwareDefinition,
  asked: BootFiles,
  here: readonly FirmwareDefinition[],
): BootFiles {
  const known = here.flatMap(filesOfFirmware);
  const trusted = Object.fromEntries(
    filesOfFirmware(stored)
      .filter(([role, path]) => known.some(([r, p]) => r === role && p === path))
      .map(([role, path]) => [role, path]),
  );
  return { ...trusted, ...asked };
}

function filesOfFirmware(firmware: FirmwareDefinition): [keyof BootFiles, string][] {
  switch (firmware.kind) {
    case 'bios':
      return [];
    case 'uefi':
      return [['codePath', firmware.codePath]];
    case 'kernel':
      return [
        ['kernelPath', firmware.kernelPath],
        ...(firmware.initrdPath === undefined
          ? []
          : ([['initrdPath', firmware.initrdPath]] satisfies [keyof BootFiles, string][])),
      ];
  }
}

/**
 * Checks a name from the vault that becomes a file name. @throws Fault `point.definition-invalid`
 */
export function fileName(name: string): string {
  if (!VmName.safeParse(name).success) {
    throw new Fault(
      'point.definition-invalid',
      `The recovery point uses the name ${JSON.stringify(name)}, which is not fit for a file name. Restore its disks one by one.`,
    );
  }
  return name;
}
