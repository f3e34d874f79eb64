import { wholeSectors } from '../../../disk/sectors.ts';
import { imageFacts } from '../../../formats/qemu-img.ts';
import { Fault, isFault } from '../../../kernel/fault.ts';
import { stat } from '../../../kernel/files/files.ts';
import { frozenChain, withNewHistory } from '../state/disk-changes.ts';
import { identityOf, signsOf, type Sign } from '../state/file-identity.ts';
import { FrozenChain } from './frozen-chain.ts';
import { diskName, withWarnings } from './identity-journal.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import type { DiskState, Layer } from '../state/vm-state.ts';

/**
 * A disk whose overlays hold data written on another content of the image below them. Only a person
 * knows which of the two is wanted; until then nothing reads, starts or merges it.
 */
export interface DiskQuestion {
  readonly disk: DiskState;
  /** The lowest layer that differs from the journal. */
  readonly layer: Layer;
  /** How it differs. */
  readonly signs: readonly Sign[];
  /** Overlays to set aside in order to go on without them. */
  readonly overlays: readonly Layer[];
}

interface Looked {
  /** What to tell the operator. */
  readonly notes: string[];
  readonly questions: DiskQuestion[];
}

/**
 * Compares every image of a powered-off VM with the journal of when it was last closed. A disk that
 * somebody touched gets a new history, so the next backup reads it whole. Empty overlays over a
 * changed image are dropped, so that the disk is that image.
 */
export async function lookForOutsideChanges(vm: ManagedVm, signal: AbortSignal): Promise<Looked> {
  const notes: string[] = [];
  const questions: DiskQuestion[] = [];
  for (const disk of vm.tracked) {
    const changed = await changedLayers(disk);
    if (changed.size === 0) {
      continue;
    }
    const question = questionFrom(disk, changed);
    if (question === undefined) {
      await acceptDisk(vm, disk, disk.layers);
    } else if (await areEmpty(question, changed, signal)) {
      const kept = disk.layers.slice(0, disk.layers.indexOf(question.layer) + 1);
      await acceptDisk(vm, disk, kept, question.overlays);
    } else {
      questions.push(question);
      continue;
    }
    notes.push(`disk ${diskName(vm, disk)} was changed outside; its next backup reads it whole`);
  }
  await warn(vm, [...notes, ...questions.map((question) => questionText(vm, question))]);
  return { notes, questions };
}

/**
 * Does this for a running VM, checking what lies below its tops, which QEMU reads and nobody
 * writes.
 */
export async function questionsOfRunning(vm: ManagedVm): Promise<DiskQuestion[]> {
  const questions: DiskQuestion[] = [];
  for (const disk of vm.tracked) {
    const question = await questionOf(disk);
    if (question !== undefined) {
      questions.push(question);
    }
  }
  await warn(
    vm,
    questions.map((question) => questionText(vm, question)),
  );
  return questions;
}

/** Returns what prevents merging the frozen layers of a disk of a running VM. */
export async function questionOf(disk: DiskState): Promise<DiskQuestion | undefined> {
  const below = disk.layers.slice(0, -1);
  const changed = await changedLayers({ ...disk, layers: below }).catch((error: unknown) => {
    if (isFault(error, 'engine.image-missing') || isFault(error, 'engine.image-refused')) {
      return new Map<Layer, Sign[]>(below.slice(0, 1).map((base) => [base, ['inode']]));
    }
    throw error;
  });
  return questionFrom(disk, changed);
}

/** @throws Fault `engine.base-replaced` if there is any question */
export function assertNoQuestion(vm: ManagedVm, [question]: readonly DiskQuestion[]): void {
  if (question !== undefined) {
    throw new Fault(
      'engine.base-replaced',
      `${questionText(vm, question)} It differs by ${question.signs.join(', ')}. ` +
        `Nothing was started, read or merged. See what can be done with: hyperkeep vm accept ${vm.name} --dry-run`,
      { vmId: vm.definition.id, diskId: question.disk.id, path: question.layer.path },
    );
  }
}

function questionText(vm: ManagedVm, { disk, layer }: DiskQuestion): string {
  return (
    `Disk ${diskName(vm, disk)}: ${layer.path} was replaced or written from outside, and an ` +
    'overlay holds data that was written on what it was before.'
  );
}

/** Returns the warnings of a VM without those of `questions`, which were answered. */
export function withoutQuestions(vm: ManagedVm, questions: readonly DiskQuestion[]): string[] {
  const answered = new Set(questions.map((question) => questionText(vm, question)));
  return vm.state.warnings.filter((warning) => !answered.has(warning));
}

/**
 * Checks that the layers of the newest frozen state are as they were at the freeze. A file that was
 * renamed meanwhile still counts as the one that was read.
 * @throws Fault `engine.image-changed`
 */
export async function assertUnwritten(vm: ManagedVm, disks: readonly DiskState[]): Promise<void> {
  const written: readonly Sign[] = ['size', 'mtime', 'header'];
  for (const disk of disks) {
    for (const layer of frozenChain(disk)) {
      const signs = await signsOf(layer).catch((error: unknown): Sign[] => {
        if (isFault(error, 'engine.image-missing')) {
          return ['inode'];
        }
        throw error;
      });
      if (!signs.includes('inode') && signs.some((sign) => written.includes(sign))) {
        throw new Fault(
          'engine.image-changed',
          `Disk ${diskName(vm, disk)}: ${layer.path} was written from outside while it was being ` +
            'read, so what was read is not of one moment. No recovery point was made.',
          { vmId: vm.definition.id, diskId: disk.id, path: layer.path },
        );
      }
    }
  }
}

/** Returns the layers that differ from the journal, and how. */
async function changedLayers(disk: DiskState): Promise<Map<Layer, Sign[]>> {
  const changed = new Map<Layer, Sign[]>();
  for (const layer of disk.layers) {
    const signs = await signsOf(layer);
    if (layer.number === 0 && (await hasOtherSize(layer, disk))) {
      signs.push('size');
    }
    if (signs.length > 0) {
      changed.set(layer, signs);
    }
  }
  return changed;
}

/**
 * Whether a raw base has a size that a begun merge cannot give it: neither its earlier size nor
 * that of the frozen state.
 */
async function hasOtherSize(
  { path, format, identity }: Layer,
  { mergeIntent, frozenSizeBytes }: DiskState,
): Promise<boolean> {
  const before = mergeIntent?.base.settled?.sizeBytes;
  if (before === undefined || format !== 'raw' || identity?.settled !== undefined) {
    return false;
  }
  const { size } = await stat(path);
  // QEMU rounds the size of a raw image up.
  return size < before || size > Math.max(wholeSectors(before), frozenSizeBytes);
}

function questionFrom(
  disk: DiskState,
  changed: ReadonlyMap<Layer, readonly Sign[]>,
): DiskQuestion | undefined {
  for (const [index, layer] of disk.layers.entries()) {
    const signs = changed.get(layer) ?? [];
    if (index > 0 && signs.includes('backing file')) {
      return { disk, layer, signs, overlays: disk.layers.slice(index) };
    }
    // Device numbers may change at a boot; a copy has another inode or another ctime.
    if (index < disk.layers.length - 1 && signs.some((sign) => sign !== 'device')) {
      return { disk, layer, signs, overlays: disk.layers.slice(index + 1) };
    }
  }
  return undefined;
}

/** Whether all overlays are files of ours without content, which nobody would miss. */
async function areEmpty(
  { layer, overlays }: DiskQuestion,
  changed: ReadonlyMap<Layer, readonly Sign[]>,
  signal: AbortSignal,
): Promise<boolean> {
  for (const overlay of overlays) {
    const signs = changed.get(overlay) ?? [];
    if (overlay === layer || signs.includes('inode') || !(await isEmpty(overlay, signal))) {
      return false;
    }
    // Somebody wrote or resized it: then its size is intended.
    if (signs.length > 0 && (await sizeOf(overlay, signal)) !== (await sizeOf(layer, signal))) {
      return false;
    }
  }
  return true;
}

async function isEmpty(overlay: Layer, signal: AbortSignal): Promise<boolean> {
  await using chain = await FrozenChain.open([overlay], signal);
  return (await chain.layerExtents(signal)).length === 0;
}

async function sizeOf(layer: Layer, signal: AbortSignal): Promise<number> {
  return (await imageFacts(layer, signal)).virtualSize;
}

/** From here on the disk is what `kept` holds now; nothing that was known of it counts. */
export async function acceptDisk(
  vm: ManagedVm,
  disk: DiskState,
  kept: readonly Layer[],
  dropped: readonly Layer[] = [],
): Promise<void> {
  await vm.changeLog(disk).clear();
  const layers: Layer[] = [];
  for (const layer of kept) {
    layers.push({ ...layer, identity: await identityOf(layer, false) });
  }
  await vm.saveDisk(
    { ...withNewHistory(disk), layers, mergeIntent: undefined },
    { leftovers: [...vm.state.leftovers, ...dropped.map(({ path }) => path)] },
  );
}

async function warn(vm: ManagedVm, notes: readonly string[]): Promise<void> {
  const warnings = withWarnings(vm.state, notes);
  if (warnings.some((warning) => !vm.state.warnings.includes(warning))) {
    await vm.save({ warnings });
  }
}
