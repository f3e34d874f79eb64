import { extname } from 'node:path';
import { Fault } from '../../../kernel/fault.ts';
import { newestContent } from '../../../vault/points/point-order.ts';
import type { RecoveryPoint } from '../../../vault/points/recovery-point.ts';
import { VmName } from '../../../vm/definition.ts';
import { refuseIdAsName } from '../../../vm/new-name.ts';
import { isVmId, vmsText } from '../../options/choose-point.ts';
import type { WhichVm } from '../../options/which-vm.ts';

export type ImageFormat = 'raw' | 'qcow2';

/** An image as the user named it. */
export interface ImageRequest {
  readonly path: string;
  /** The given format, or the one that the file's name implies; undefined if neither says. */
  readonly format: ImageFormat | undefined;
  readonly name: string;
}

/** An image that will be read in a known format. */
export interface ImageToRead extends ImageRequest {
  readonly format: ImageFormat;
}

export interface PlannedDisk extends ImageToRead {
  readonly diskId: string;
}

export interface ImportPlan {
  readonly vmId: string;
  readonly vmName: string;
  readonly disks: readonly PlannedDisk[];
  /** The newest point of this VM, whose ids are used again. */
  readonly previous?: RecoveryPoint;
  /** Sentences for the recovery point. */
  readonly notes: readonly string[];
}

const FORMATS: Readonly<Record<string, ImageFormat>> = {
  '.qcow2': 'qcow2',
  '.qcow': 'qcow2',
  '.raw': 'raw',
  '.img': 'raw',
};
const DISKS_MAX = 24;

/** Returns what the user asked to import. */
export function imageRequests(
  files: readonly string[],
  options: { readonly diskNames: readonly string[]; readonly format?: ImageFormat },
): ImageRequest[] {
  const { diskNames, format } = options;
  if (diskNames.length > files.length) {
    throw new Fault('request.invalid', 'There are more --disk-name than files.');
  }
  if (files.length > DISKS_MAX) {
    throw new Fault('request.invalid', `A VM has at most ${String(DISKS_MAX)} disks.`);
  }
  const requests = files.map((path, index) => ({
    path,
    format: format ?? FORMATS[extname(path).toLowerCase()],
    name: checkedName(diskNames[index] ?? `disk${String(index)}`),
  }));
  const names = new Set(requests.map(({ name }) => name));
  if (names.size < requests.length) {
    throw new Fault('request.invalid', 'Two disks have the same name. Give each its --disk-name.');
  }
  return requests;
}

/** Checks a VM or disk name that the user typed. */
export function checkedName(name: string): string {
  const parsed = VmName.safeParse(name);
  if (!parsed.success) {
    throw new Fault(
      'request.invalid',
      `"${name}" is not a name: ${parsed.error.issues[0]?.message ?? 'invalid'}.`,
      { name },
    );
  }
  return parsed.data;
}

/** Checks a new name for a VM. */
export function checkedVmName(name: string): string {
  refuseIdAsName(name);
  return checkedName(name);
}

/**
 * Gives VM and disks the ids from the newest point of that VM, and new ids to the rest.
 *
 * @param idOf returns the id of something new: the same for the same words, so that two first
 *   imports of one name that run at once import one VM
 */
export function planImport(
  which: WhichVm,
  requests: readonly ImageToRead[],
  points: readonly RecoveryPoint[],
  idOf: (...words: readonly string[]) => string,
): ImportPlan {
  const previous = newestContent(earlierPoints(which, points));
  const vmName = which.vm ?? previous?.vmName;
  if (vmName === undefined) {
    throw new Fault(
      'request.invalid',
      'Say which VM the images belong to, with --vm NAME, or with --vm-id ID to continue one.',
    );
  }
  const vmId = previous?.vmId ?? newVmId(vmName, points, idOf);
  const known = new Map(previous?.disks.map((disk) => [disk.name, disk]));
  const disks = requests.map((request) => ({
    ...request,
    diskId: known.get(request.name)?.diskId ?? idOf('disk', vmId, request.name),
  }));
  return {
    vmId,
    vmName,
    disks,
    notes: changesOfDisks(previous, disks),
    ...(previous === undefined ? {} : { previous }),
  };
}

/** A renamed VM keeps the id of its first name. */
function newVmId(
  vmName: string,
  points: readonly RecoveryPoint[],
  idOf: (...words: readonly string[]) => string,
): string {
  const taken = new Set(points.map(({ vmId }) => vmId));
  for (let attempt = 0; ; attempt += 1) {
    const id = idOf('vm', vmName, ...(attempt === 0 ? [] : [String(attempt)]));
    if (!taken.has(id)) {
      return id;
    }
  }
}

/** @throws Fault `vm.ambiguous`, `point.unknown` */
function earlierPoints(
  { vm, vmId }: WhichVm,
  points: readonly RecoveryPoint[],
): readonly RecoveryPoint[] {
  if (vmId !== undefined) {
    const isMeant = isVmId(vmId);
    const others = points.filter((point) => !isMeant(point) && point.vmName === vm);
    if (others.length > 0) {
      throw new Fault(
        'vm.ambiguous',
        `The vault has another VM named ${vm ?? ''}. Take another name.`,
      );
    }
    const earlier = points.filter(isMeant);
    if (new Set(earlier.map((point) => point.vmId)).size > 1) {
      throw new Fault(
        'vm.ambiguous',
        `The ids of several VMs begin with ${vmId}. Type more of the id.`,
      );
    }
    if (earlier.length === 0) {
      throw new Fault(
        'point.unknown',
        `The vault has no VM with the id ${vmId}. "hyperkeep rescue points --json" shows the ids; --vm NAME alone makes a new VM.`,
        { vmId },
      );
    }
    return earlier;
  }
  const earlier = points.filter(({ vmName }) => vmName === vm);
  const vms = new Map(earlier.map((point) => [point.vmId, point.vmName]));
  if (vms.size > 1) {
    throw new Fault(
      'vm.ambiguous',
      `The vault has several VMs of that name: ${vmsText(vms)}. Say which one the images continue with --vm-id ID, or give up the points of those that should not be there ("hyperkeep rescue retire POINT…").`,
      { vms: vms.size },
    );
  }
  return earlier;
}

function changesOfDisks(
  previous: RecoveryPoint | undefined,
  disks: readonly PlannedDisk[],
): string[] {
  if (previous === undefined) {
    return [];
  }
  const before = new Set(previous.disks.map(({ name }) => name));
  const now = new Set(disks.map(({ name }) => name));
  return [
    ...[...now].filter((name) => !before.has(name)).map((name) => `Disk ${name} is new.`),
    ...[...before]
      .filter((name) => !now.has(name))
      .map((name) => `Disk ${name} of the point before was not imported.`),
  ];
}
