import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeDurably } from '../../kernel/durable-file.ts';
import { Fault, systemCode } from '../../kernel/fault.ts';

/** What a file was when nobody of ours had it open for writing. */
export const FileIdentity = z.strictObject({
  device: z.string(),
  inode: z.string(),
  /** The rest is known only of a file that nobody may write. */
  settled: z
    .strictObject({
      sizeBytes: z.int().nonnegative(),
      modifiedNs: z.string(),
      /** The name of the backing file in a qcow2 header, `''` without one. */
      backing: z.string(),
    })
    .optional(),
});
export type FileIdentity = z.infer<typeof FileIdentity>;

const Layer = z.strictObject({
  /** 0 is the base; never used again for another layer of the disk. */
  number: z.int().nonnegative(),
  path: z.string(),
  format: z.enum(['raw', 'qcow2']),
  identity: FileIdentity.optional(),
});
export type Layer = z.infer<typeof Layer>;

/** A disk, or the firmware's variable store, as the engine keeps it. */
const DiskState = z.strictObject({
  /** The disk's id; `nvram` for the variable store. */
  id: z.string(),
  /** Part of its QEMU node names; stays when disks are added. */
  index: z.int().nonnegative(),
  excluded: z.boolean(),
  trackingId: z.uuid(),
  /** Of the newest frozen state; 0 before the first freeze of this line of history. */
  generation: z.int().nonnegative(),
  /** Size at that freeze. */
  frozenSizeBytes: z.int().nonnegative(),
  nextLayer: z.int().positive(),
  /** Base first. The last one is what the VM writes to; there is at most one between, but after a crash. */
  layers: z.array(Layer).min(1),
  /**
   * Whose changes the change log does not have yet: frozen layers by number, oldest first.
   * Layers are merged only when they are not in here.
   */
  unlogged: z.array(
    z.strictObject({
      layer: z.int().nonnegative(),
      generation: z.int().positive(),
      previousSizeBytes: z.int().nonnegative(),
      sizeBytes: z.int().nonnegative(),
    }),
  ),
  /** Nobody has opened the last layer for writing since it was made: it is empty. */
  topUntouched: z.boolean(),
  /** A merge into the base was begun and not seen to end. */
  merging: z.boolean(),
});
export type DiskState = z.infer<typeof DiskState>;

export const VmState = z.strictObject({
  version: z.literal(1),
  vmId: z.uuid(),
  /** QEMU was started and not seen to end: to run the guest, or only to put its disks in order. */
  started: z.enum(['no', 'guest', 'maintenance']),
  /** The guest's file systems may be frozen: a freeze was sent and no thaw was confirmed. */
  freezeSent: z.boolean(),
  /** The job whose frozen state is in use; actions of another one are refused. */
  holder: z.string().optional(),
  /** Files that are no layer of any disk (not yet, or not any more) and go at the next chance. */
  leftovers: z.array(z.string()),
  /** The VM is being put back to plain disks. */
  releasing: z.boolean(),
  disks: z.array(DiskState).min(1),
  /** What the operator should know until the next successful freeze. */
  warnings: z.array(z.string()).max(32),
});
export type VmState = z.infer<typeof VmState>;

/** The id under which the variable store is kept among the disks. */
export const NVRAM = 'nvram';

/**
 * @throws Fault `engine.vm-not-found` when there is none, `engine.state-invalid` when it cannot be
 *   understood: then nothing is started and nothing is guessed
 */
export async function loadVmState(path: string, vmId: string): Promise<VmState> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') {
      throw new Fault('engine.vm-not-found', `There is no VM ${vmId}.`, { vmId });
    }
    throw error;
  });
  const state = VmState.safeParse(parseJson(text));
  if (!state.success || state.data.vmId !== vmId) {
    throw new Fault(
      'engine.state-invalid',
      `The state file ${path} is damaged. The disks are untouched; restore the file or the VM.`,
      { vmId },
    );
  }
  return state.data;
}

/** Durable when it returns. */
export async function storeVmState(path: string, state: VmState): Promise<void> {
  await writeDurably(path, `${JSON.stringify(VmState.parse(state), undefined, 1)}\n`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is one more way of being damaged; the caller says so.
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
