import { dirname } from 'node:path';
import { syncFolder } from '../../../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../../../kernel/fault.ts';
import { lstat, rename, stat } from '../../../kernel/files/files.ts';
import type { AcceptedDisk, AcceptOptions } from '../../engine.ts';
import { assertUsable } from './add-vm.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import { identityOf } from '../state/file-identity.ts';
import { FrozenChain } from '../layers/frozen-chain.ts';
import { diskName } from '../layers/identity-journal.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { acceptDisk, withoutQuestions, type DiskQuestion } from '../layers/outside-changes.ts';
import { settle } from '../merge/settle.ts';
import { markUnmerged } from '../merge/unmerged.ts';
import { baseOf, topOf, type DiskState, type Layer } from '../state/vm-state.ts';

/**
 * Goes on with disks whose image was replaced or written under overlays that hold data, as a person
 * chose. Changes no content and removes nothing: `image` renames the overlays, `chain` accepts the
 * files as they are.
 */
export async function acceptDisks(
  parts: EngineParts,
  vm: ManagedVm,
  { keep, dryRun }: AcceptOptions,
  signal: AbortSignal,
): Promise<AcceptedDisk[]> {
  const { session, questions } = await settle(parts, vm, { mayMerge: false }, signal);
  const accepted: AcceptedDisk[] = [];
  for (const question of questions) {
    accepted.push(await plannedFor(parts, vm, question));
  }
  if (!dryRun && questions.length > 0) {
    await acceptAll(vm, { questions, accepted, keep, isRunning: session !== undefined }, signal);
    if (session === undefined) {
      await markUnmerged(parts, vm);
    }
    const facts = { vmId: vm.definition.id, keep, disks: accepted.length };
    parts.log.info('engine.disks-accepted', facts);
  }
  return accepted;
}

interface Accepting {
  readonly questions: readonly DiskQuestion[];
  readonly accepted: readonly AcceptedDisk[];
  readonly keep: AcceptOptions['keep'];
  readonly isRunning: boolean;
}

async function acceptAll(
  vm: ManagedVm,
  { questions, accepted, keep, isRunning }: Accepting,
  signal: AbortSignal,
): Promise<void> {
  if (keep === 'image' && isRunning) {
    throw new Fault(
      'engine.vm-busy',
      `${vm.name} runs and writes to the overlays that would be set aside. Stop it first.`,
      { vmId: vm.definition.id },
    );
  }
  for (const question of questions) {
    const kept = keep === 'image' ? layersBelow(question) : question.disk.layers;
    await assertReadable(question.disk, isRunning ? [] : kept, signal);
  }
  for (const [index, question] of questions.entries()) {
    if (keep === 'image') {
      await acceptDisk(vm, question.disk, layersBelow(question));
      await setAside(accepted[index]?.overlays ?? []);
    } else {
      await acceptDisk(vm, question.disk, question.disk.layers);
      await reopenTop(vm, question.disk.id, isRunning);
    }
  }
  await vm.save({ warnings: withoutQuestions(vm, questions) });
}

function layersBelow({ disk, overlays: [first] }: DiskQuestion): Layer[] {
  return disk.layers.slice(0, first === undefined ? undefined : disk.layers.indexOf(first));
}

async function plannedFor(
  parts: EngineParts,
  vm: ManagedVm,
  question: DiskQuestion,
): Promise<AcceptedDisk> {
  const overlays = [];
  for (const { path } of question.overlays) {
    const bytes = (await stat(path)).size;
    overlays.push({ path, bytes, setAsideAs: await unusedName(path, parts.clock.nowMs()) });
  }
  return {
    diskId: question.disk.id,
    name: diskName(vm, question.disk),
    imagePath: question.layer.path,
    signs: question.signs,
    overlays,
  };
}

/** Returns an unused name beside the file, with the time in it. */
async function unusedName(path: string, nowMs: number): Promise<string> {
  const time = new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  for (let count = 1; ; count += 1) {
    const name = `${path}.aside-${time}${count === 1 ? '' : `-${String(count)}`}`;
    const found = await lstat(name).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') {
        return undefined;
      }
      throw error;
    });
    if (found === undefined) {
      return name;
    }
  }
}

/** The state file no longer has them, so after a crash here they keep their own names. */
async function setAside(overlays: AcceptedDisk['overlays']): Promise<void> {
  for (const { path, setAsideAs } of overlays) {
    await rename(path, setAsideAs);
    await syncFolder(dirname(path));
  }
}

/** Checks that QEMU can open what the disk will be. */
async function assertReadable(
  disk: DiskState,
  kept: readonly Layer[],
  signal: AbortSignal,
): Promise<void> {
  const [base] = kept;
  if (base === undefined) {
    return;
  }
  await assertUsable({ ...base, id: disk.id, excluded: false }, signal);
  const chain = await FrozenChain.open(kept, signal);
  await chain.close();
}

/** The top of a running VM is being written, so only device and inode can be journalled. */
async function reopenTop(vm: ManagedVm, diskId: string, isRunning: boolean): Promise<void> {
  const disk = vm.state.disks.find(({ id }) => id === diskId);
  if (isRunning && disk !== undefined && topOf(disk) !== baseOf(disk)) {
    const top = { ...topOf(disk), identity: await identityOf(topOf(disk), true) };
    await vm.saveDisk({ ...disk, layers: [...disk.layers.slice(0, -1), top] });
  }
}
