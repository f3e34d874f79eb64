import { randomUUID } from 'node:crypto';
import { extname } from 'node:path';
import { Fault } from '../../kernel/fault.ts';
import { type RecoveryPoint } from '../../vault/recovery-point.ts';
import { VmName } from '../../vm/definition.ts';

export type ImageFormat = 'raw' | 'qcow2';

export interface ImageRequest {
  readonly path: string;
  readonly format: ImageFormat;
  readonly name: string;
}

export interface PlannedDisk extends ImageRequest {
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

/**
 * What the user asked to import. A format is never guessed from the content, because a guest can
 * write any content: it is given, or the file's name says it.
 */
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
  const requests = files.map((path, index) => {
    const known = format ?? FORMATS[extname(path).toLowerCase()];
    if (known === undefined) {
      throw new Fault(
        'request.invalid',
        `The name of ${path} does not say its format. Add --format raw or --format qcow2.`,
        { path },
      );
    }
    return { path, format: known, name: checkedName(diskNames[index] ?? `disk${String(index)}`) };
  });
  const names = new Set(requests.map(({ name }) => name));
  if (names.size < requests.length) {
    throw new Fault('request.invalid', 'Two disks have the same name. Give each its --disk-name.');
  }
  return requests;
}

/** A VM or disk name as the user typed it. */
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

/** Gives VM and disks the ids they had in the newest point of that name, and mints the rest. */
export function planImport(
  vmName: string,
  requests: readonly ImageRequest[],
  points: readonly RecoveryPoint[],
): ImportPlan {
  const earlier = points.filter((point) => point.vmName === vmName);
  const ids = new Set(earlier.map(({ vmId }) => vmId));
  if (ids.size > 1) {
    throw new Fault(
      'vm.ambiguous',
      `The vault has ${String(ids.size)} different VMs named ${vmName}. Import under another name.`,
      { vmName },
    );
  }
  const previous = newest(earlier);
  const known = new Map(previous?.disks.map((disk) => [disk.name, disk]));
  const disks = requests.map((request) => ({
    ...request,
    diskId: known.get(request.name)?.diskId ?? randomUUID(),
  }));
  return {
    vmId: previous?.vmId ?? randomUUID(),
    vmName,
    disks,
    notes: changesOfDisks(previous, disks),
    ...(previous === undefined ? {} : { previous }),
  };
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

/** The point with the greatest id: ULIDs are the order of a vault. */
function newest(points: readonly RecoveryPoint[]): RecoveryPoint | undefined {
  return points.toSorted((a, b) => (a.id < b.id ? -1 : 1)).at(-1);
}
