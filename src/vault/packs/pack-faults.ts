import { Fault } from '../../kernel/fault.ts';
import { packKey, type PackName } from '../format/object-names.ts';
import type { OpenPack } from './open-pack.ts';

/** Fault for a pack, or one slot of it, that no generation has. */
export function missing(name: PackName, slot?: number): Fault {
  const what = slot === undefined ? '' : `Slot ${slot} of `;
  return new Fault(
    'vault.pack-missing',
    `${what === '' ? 'The pack ' : `${what}the pack `}${packKey(name)} is not in the vault. What lies in it is lost unless a copy of the vault has it; run verify to see which points are hit.`,
    { pack: packKey(name) },
  );
}

export function corrupt(name: PackName, why: string, cause?: unknown): Fault {
  return new Fault(
    'vault.pack-corrupt',
    `The pack ${packKey(name)} is damaged: ${why}. Nothing was restored from it; run verify to see which points are hit.`,
    { pack: packKey(name) },
    { cause },
  );
}

export function damagedFrame(pack: OpenPack, frame: number, why: string, cause?: unknown): Fault {
  return new Fault(
    'vault.chunk-corrupt',
    `Frame ${frame} of the pack ${pack.objectKey} is damaged: ${why}. Nothing was restored from it; run verify to see which points are hit.`,
    { pack: pack.objectKey, frame },
    { cause },
  );
}

/**
 * Fault for a slot that does not match its id: somebody with the key wrote it so, or memory failed.
 */
export function wrongSlot({ objectKey: pack, footer }: OpenPack, slot: number): Fault {
  return new Fault(
    'vault.chunk-corrupt',
    `Slot ${slot} of the pack ${pack} does not have the content that its id says: it was not what the backup stored there. Nothing was restored from it; run verify at level 3 to see which points are hit.`,
    { pack, frame: footer.frameOf[slot] ?? 0, slot },
  );
}
