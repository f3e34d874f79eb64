import { unlessDamaged } from '../../../kernel/fault.ts';
import type { ObjectKey } from '../../store/object-store.ts';
import { packKey } from '../../format/object-names.ts';
import type { OpenPack } from '../../packs/open-pack.ts';
import type { PackFooter } from '../../packs/pack-layout.ts';
import type { Packs } from '../../packs/packs.ts';
import type { ListedPack, PackObject } from './pack-listing.ts';

/** Where objects are opened, and who learns that one is damaged. */
export interface Opening {
  readonly packs: Packs;
  readonly damaged: (key: ObjectKey) => void;
  readonly signal: AbortSignal;
}

/**
 * Opens the object past all caches, before anything is removed for what it has.
 * @returns undefined if it is gone, or damaged and noted as such
 */
export async function openStored(
  opening: Opening,
  object: PackObject,
): Promise<OpenPack | undefined> {
  return openWith('openExact', opening, object);
}

/**
 * Opens an object that was just listed; its footer may come from the cache of this machine, because
 * objects never change.
 * @returns undefined if it is gone, or damaged and noted as such
 */
export async function openListed(
  opening: Opening,
  object: PackObject,
): Promise<OpenPack | undefined> {
  return openWith('openListed', opening, object);
}

/** Returns the footers of all listed generations, or none if any of them cannot be read. */
export async function footersOf(
  opening: Opening,
  { objects }: ListedPack,
): Promise<readonly PackFooter[]> {
  const footers: PackFooter[] = [];
  for (const object of objects) {
    const open = await openListed(opening, object);
    if (open === undefined) {
      return [];
    }
    footers.push(open.footer);
  }
  return footers;
}

async function openWith(
  how: 'openExact' | 'openListed',
  { packs, damaged, signal }: Opening,
  { name }: PackObject,
): Promise<OpenPack | undefined> {
  return unlessDamaged(
    async () => packs[how](name, signal),
    () => {
      damaged(packKey(name));
    },
  );
}
