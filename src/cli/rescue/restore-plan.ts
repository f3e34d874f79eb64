import { join } from 'node:path';
import { Fault } from '../../kernel/fault.ts';
import { type PointDisk, type RecoveryPoint } from '../../vault/recovery-point.ts';
import { VmName, type VmDefinition } from '../../vm/definition.ts';
import {
  restoredDefinition,
  storedDefinition,
  type BootFiles,
} from '../../vm/restored-definition.ts';
import { type ImageFormat } from './import-plan.ts';

export interface RestoreRequest {
  readonly folder: string;
  readonly format: ImageFormat;
  /** Name or id of the only disk to restore. */
  readonly disk?: string;
  /** New name, and with it new ids and MAC addresses. */
  readonly newName?: string;
  readonly bootFiles: BootFiles;
}

export interface RestoredDisk {
  readonly disk: PointDisk;
  readonly path: string;
}

/** What a restore would write; nothing has been touched yet. */
export interface RestorePlan {
  readonly point: RecoveryPoint;
  readonly format: ImageFormat;
  readonly folder: string;
  readonly disks: readonly RestoredDisk[];
  readonly nvramPath?: string;
  /** Written last: where it is, the restore is whole. Absent when one disk is restored. */
  readonly definition?: { readonly path: string; readonly content: VmDefinition };
  readonly notes: readonly string[];
}

/** Name under which a recovery point keeps the firmware's variable store. */
export const NVRAM_FILE = 'nvram';

/** @throws Fault when the point's names or definition are not fit for this host */
export function planRestore(point: RecoveryPoint, request: RestoreRequest): RestorePlan {
  const name = safeName(request.newName ?? point.vmName, 'VM');
  const disks = chosenDisks(point, request.disk).map((disk) => ({
    disk,
    path: join(request.folder, `${name}-${safeName(disk.name, 'disk')}.${request.format}`),
  }));
  const base = { point, format: request.format, folder: request.folder, disks };
  if (request.disk !== undefined) {
    return { ...base, notes: [] };
  }
  const stored = storedDefinition(point.configuration);
  const nvramPath = point.files.some((file) => file.name === NVRAM_FILE)
    ? join(request.folder, `${name}-nvram.qcow2`)
    : undefined;
  const content = restoredDefinition(stored, {
    name,
    newIdentity: request.newName !== undefined,
    format: request.format,
    diskPaths: new Map(disks.map(({ disk, path }) => [disk.diskId, path])),
    bootFiles: request.bootFiles,
    ...(nvramPath === undefined ? {} : { nvramPath }),
  });
  return {
    ...base,
    definition: { path: join(request.folder, `${name}.json`), content },
    notes: stored.disks
      .filter((disk) => !point.disks.some(({ diskId }) => diskId === disk.id))
      .map((disk) => `Disk ${disk.name} is not in the recovery point and not in the restored VM.`),
    ...(nvramPath === undefined || stored.firmware.kind !== 'uefi' ? {} : { nvramPath }),
  };
}

/** Every file that the plan writes, the definition last. */
export function filesOf({ disks, nvramPath, definition }: RestorePlan): string[] {
  return [
    ...disks.map(({ path }) => path),
    ...(nvramPath === undefined ? [] : [nvramPath]),
    ...(definition === undefined ? [] : [definition.path]),
  ];
}

function chosenDisks(point: RecoveryPoint, asked: string | undefined): readonly PointDisk[] {
  if (asked === undefined) {
    return point.disks;
  }
  const found = point.disks.filter(({ name, diskId }) => name === asked || diskId === asked);
  if (found.length === 0) {
    const names = point.disks.map(({ name }) => name).join(', ');
    throw new Fault(
      'point.disk-unknown',
      `The recovery point has no disk ${asked}; it has: ${names}.`,
      { disk: asked },
    );
  }
  return found;
}

/** Names come out of the vault and become file names. */
function safeName(name: string, what: string): string {
  if (!VmName.safeParse(name).success) {
    throw new Fault(
      'point.definition-invalid',
      `The recovery point names a ${what} ${JSON.stringify(name)}, which is not fit for a file name. For a VM choose another name with --as.`,
    );
  }
  return name;
}
