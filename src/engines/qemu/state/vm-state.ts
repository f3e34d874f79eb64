import { dirname } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../../../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../../../kernel/fault.ts';
import { readFile } from '../../../kernel/files/files.ts';
import { shortened } from '../../../kernel/text/shortened.ts';
import { quoted } from './shell-word.ts';

/** Limit for the text that says why the layers of a disk were not merged: `fittingWhy`. */
const WHY_CHARACTERS_MAX = 1000;
/** More than a VM has disks, each of which may have one. */
export const WARNINGS_MAX = 32;

/** Facts about a file, taken when nothing of ours had it open for writing. */
export const FileIdentity = z.strictObject({
  device: z.string(),
  inode: z.string(),
  /**
   * The part of a qcow2 base's header that neither a guest nor a merge changes: see
   * `lastingHeader`.
   */
  lasting: z.string().optional(),
  /** Only known for a file that nobody may write. */
  settled: z
    .strictObject({
      sizeBytes: z.int().nonnegative(),
      modifiedNs: z.string(),
      /** ctime: changes with every write, rename and change of mode, and cannot be set back. */
      changedNs: z.string().optional(),
      /** Name of the backing file in a qcow2 header, `''` without one. */
      backing: z.string(),
      /** Digest of the beginning of a qcow2 file: sizes, tables, internal snapshots. */
      header: z.string().optional(),
    })
    .optional(),
});
export type FileIdentity = z.infer<typeof FileIdentity>;

const Layer = z.strictObject({
  /** 0 is the base. A number is never used again for another layer of the disk. */
  number: z.int().nonnegative(),
  path: z.string(),
  format: z.enum(['raw', 'qcow2']),
  identity: FileIdentity.optional(),
});
export type Layer = z.infer<typeof Layer>;

/** A disk, or the firmware's variable store, in the engine's state. */
const DiskState = z.strictObject({
  /** The disk's id; `nvram` for the variable store. */
  id: z.string(),
  /** Part of its QEMU node names; stays when disks are added. */
  index: z.int().nonnegative(),
  excluded: z.boolean(),
  trackingId: z.uuid(),
  /** Generation of the newest frozen state; 0 before the first freeze of this history. */
  generation: z.int().nonnegative(),
  /** Size of the disk at that freeze. */
  frozenSizeBytes: z.int().nonnegative(),
  nextLayer: z.int().positive(),
  /**
   * Base first. The VM writes to the last one. Except after a crash, there is at most one between.
   */
  layers: z.array(Layer).min(1),
  /**
   * Frozen layers whose changes the change log does not have yet, by number, oldest first. They
   * must not be merged.
   */
  unlogged: z.array(
    z.strictObject({
      layer: z.int().nonnegative(),
      generation: z.int().positive(),
      previousSizeBytes: z.int().nonnegative(),
      sizeBytes: z.int().nonnegative(),
    }),
  ),
  /**
   * Nobody has opened the last layer for writing since the newest freeze: it is part of that state.
   */
  topUntouched: z.boolean(),
  /** A merge into the base was begun, and its end was not seen: we ourselves change the base. */
  mergeIntent: z
    .strictObject({
      /** Identity of the base before the merge. */
      base: FileIdentity,
      /** The topmost layer that is merged. */
      layer: z.int().positive(),
      /** Generation of the base afterwards. */
      generation: z.int().nonnegative(),
    })
    .optional(),
  /** Its known changes were found wrong while a frozen state of it is in use. */
  distrusted: z.boolean().optional(),
  /** Why the layers of the stopped VM were not merged at the last attempt, for people. */
  whyUnmerged: z.string().max(WHY_CHARACTERS_MAX).optional(),
});
export type DiskState = z.infer<typeof DiskState>;

/** Written by this version; `VmStateBefore` can be read too. */
const VERSION = 2;

export const VmState = z.strictObject({
  version: z.literal(VERSION),
  vmId: z.uuid(),
  /** Counts the claims on the VM; actions under an older claim are refused. */
  fence: z.int().nonnegative().default(0),
  /**
   * QEMU was started, and its end was not seen. It runs the guest, or only puts the disks in order.
   */
  started: z.enum(['no', 'guest', 'maintenance']),
  /**
   * It was stopped, or stopped itself, and did not just end: its layers may be merged while it is
   * off.
   */
  stoppedInOrder: z.boolean(),
  /** The guest's file systems may be frozen: a freeze was sent and no thaw was confirmed. */
  freezeSent: z.boolean(),
  /** Commands that are to run in the present guest, whatever becomes of who asked for them. */
  owedCommands: z
    .array(z.strictObject({ words: z.array(z.string()).min(1), timeLimitMs: z.int().positive() }))
    .default([]),
  /** Token of the job whose frozen state is in use; actions of other jobs are refused. */
  holder: z.string().optional(),
  /**
   * Files that are not layers of any disk (not yet, or no longer); removed at the next opportunity.
   */
  leftovers: z.array(z.string()),
  disks: z.array(DiskState).min(1),
  /** What the operator should know until the next successful freeze. */
  warnings: z.array(z.string()).max(WARNINGS_MAX),
});
export type VmState = z.infer<typeof VmState>;

/**
 * Version 1. Of a merge it only knew that it was running, and it never merged layers of a stopped
 * VM.
 */
const VmStateBefore = VmState.omit({ fence: true, stoppedInOrder: true, owedCommands: true })
  .extend({
    version: z.literal(1),
    releasing: z.boolean(),
    disks: z
      .array(
        DiskState.omit({ mergeIntent: true, whyUnmerged: true }).extend({ merging: z.boolean() }),
      )
      .min(1),
  })
  .strict();

/**
 * Shortens why layers were not merged to fit the state file: it names paths, and QEMU's text may be
 * long.
 */
export function fittingWhy(why: string): string {
  return shortened(why, WHY_CHARACTERS_MAX);
}

/** Id of the variable store among the disks. */
export const NVRAM = 'nvram';

/**
 * @throws Fault `engine.vm-not-found` if there is none; `engine.state-newer` if a newer version
 *   wrote it; `engine.state-invalid` if it cannot be understood: then nothing is started and
 *   nothing is guessed
 */
export async function loadVmState(path: string, vmId: string): Promise<VmState> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') {
      throw new Fault('engine.vm-not-found', `There is no VM ${vmId}.`, { vmId });
    }
    throw error;
  });
  const value = parseJson(text);
  const written = Version.safeParse(value);
  if (written.success && written.data.version > VERSION) {
    throw new Fault(
      'engine.state-newer',
      `The state file ${path} was written by a newer Hyperkeep (version ${written.data.version} of ` +
        `the file, this one knows ${VERSION}). Nothing was changed; go on with the newer one.`,
      { vmId, version: written.data.version },
    );
  }
  const before = VmStateBefore.safeParse(value);
  const state = VmState.safeParse(before.success ? upgraded(before.data) : value);
  if (!state.success || state.data.vmId !== vmId) {
    throw new Fault('engine.state-invalid', damagedText(path), { vmId });
  }
  return state.data;
}

const Version = z.looseObject({ version: z.int() });

/** Converts a state file of version 1. */
function upgraded(before: z.infer<typeof VmStateBefore>): VmState {
  const { vmId, started, freezeSent, holder, leftovers, disks, warnings } = before;
  return {
    vmId,
    started,
    freezeSent,
    holder,
    leftovers,
    warnings,
    version: VERSION,
    fence: 0,
    stoppedInOrder: false,
    owedCommands: [],
    disks: disks.map(({ merging, ...disk }) => {
      const [base, ...above] = disk.layers;
      const identity = base?.identity;
      const layer = above.at(-2) ?? above.at(-1);
      if (!merging || identity === undefined || layer === undefined) {
        return disk;
      }
      const { generation } = disk;
      return { ...disk, mergeIntent: { base: identity, layer: layer.number, generation } };
    }),
  };
}

/** Writes a state file; durable when it returns. */
export async function storeVmState(path: string, state: VmState): Promise<void> {
  await writeDurably(path, `${JSON.stringify(VmState.parse(state), undefined, 1)}\n`);
}

/** Returns which file of a VM cannot be understood, and what can be done; for people. */
export function damagedText(path: string, what: 'damaged' | 'gone' = 'damaged'): string {
  const folder = dirname(path);
  return (
    `The file ${path} is ${what}, so nothing is done to the VM; its disks are untouched. ` +
    'Put a copy of the file back. Without one: end the guest if it runs, set what is known about ' +
    `the VM aside with "mv ${quoted(folder)} ${quoted(`${folder}.damaged`)}", then add it again ` +
    '(its definition.json is in there) or restore it from a recovery point.'
  );
}

/** Parses JSON. Returns undefined for other text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Text that is not JSON is damaged too; the caller reports that.
    return undefined;
  }
}

/** The layer that the VM writes to. */
export function topOf(disk: DiskState): Layer {
  const top = disk.layers.at(-1);
  if (top === undefined) {
    throw new RangeError(`disk ${disk.id} has no layer`);
  }
  return top;
}

export function baseOf(disk: DiskState): Layer {
  const [base] = disk.layers;
  if (base === undefined) {
    throw new RangeError(`disk ${disk.id} has no layer`);
  }
  return base;
}
