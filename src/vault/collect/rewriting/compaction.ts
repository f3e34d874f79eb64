import { integrityOrThrow } from '../../../kernel/fault.ts';
import type { FrameFetcher } from '../../tasks/frame-fetcher.ts';
import type { ObjectKey } from '../../store/object-store.ts';
import {
  generationAfter,
  packKey,
  randomSuffix,
  type PackName,
} from '../../format/object-names.ts';
import type { PackFooter } from '../../packs/pack-layout.ts';
import type { DeadSlots } from '../slots/dead-slots.ts';
import { openStored, type Opening } from './opening.ts';
import { mayReplace, type ListedPack, type PackObject } from './pack-listing.ts';
import { PackRewriter } from './pack-rewriter.ts';
import { readWhole } from './read-whole.ts';

/** What tidying reads, and what it reports to the collection. */
export interface Tidying extends Opening {
  /** Checks ids. */
  readonly fetcher: FrameFetcher;
  readonly dead: DeadSlots;
  /** @returns false if the store refused */
  readonly remove: (
    object: PackObject,
    step: 'generation-removed' | 'merged-removed',
  ) => Promise<boolean>;
  readonly sent: (
    step: 'generation-sent' | 'merged-sent' | 'merged-aliased',
    key: ObjectKey,
  ) => Promise<void>;
  readonly wrote: (bytes: number) => void;
}

/**
 * G3.c: writes the next generation of a pack without its dead slots, then removes exactly the
 * object that was read.
 * @returns whether a generation was written
 */
export async function compact(
  tidying: Tidying,
  { ulid, kind, objects }: ListedPack,
): Promise<boolean> {
  const { packs, dead, signal, remove, sent, wrote, damaged } = tidying;
  const object = objects.at(-1);
  const source = object && (await openStored(tidying, object));
  if (object === undefined || source === undefined) {
    return false;
  }
  const name: PackName = {
    kind,
    ulid,
    generation: generationAfter(object.name.generation),
    rand: randomSuffix(),
  };
  const rewriter = new PackRewriter(packs, name, signal);
  try {
    await rewriter.take(source, (slot) => !dead.has(ulid, slot), true);
  } catch (error) {
    integrityOrThrow(error);
    // G3.h. A slot that must stay is damaged: a repair needs the object as it is.
    damaged(source.objectKey);
    return false;
  }
  const { bytes } = await rewriter.finish();
  wrote(bytes);
  await sent('generation-sent', packKey(name));
  await remove(object, 'generation-removed');
  return true;
}

/**
 * G3.f: removes generations that the latest one makes superfluous: it was read whole just now and
 * has all their slots that are not dead, under the same ids.
 * @returns the pack with the objects that stay
 */
export async function dropGenerations(tidying: Tidying, pack: ListedPack): Promise<ListedPack> {
  const { fetcher, dead, signal, remove, damaged } = tidying;
  const best = pack.objects.at(-1);
  if (best === undefined || pack.objects.length < 2) {
    return pack;
  }
  const open = await openStored(tidying, best);
  if (open === undefined || !(await readWhole(fetcher, open, signal))) {
    damaged(packKey(best.name));
    return pack;
  }
  const kept: PackObject[] = [];
  for (const object of pack.objects.slice(0, -1)) {
    const other = await openStored(tidying, object);
    const isCovered =
      other !== undefined && covers(open.footer, other.footer, (slot) => dead.has(pack.ulid, slot));
    if (
      !isCovered ||
      !mayReplace(best.name, object.name) ||
      !(await remove(object, 'generation-removed'))
    ) {
      kept.push(object);
    }
  }
  return { ...pack, objects: [...kept, best] };
}

function covers(best: PackFooter, other: PackFooter, isDead: (slot: number) => boolean): boolean {
  for (let slot = 0; slot < other.slots; slot++) {
    const isThere = best.size(slot) === other.size(slot) && best.hasId(slot, other.id(slot));
    if (other.size(slot) > 0 && !isThere && !isDead(slot)) {
      return false;
    }
  }
  return true;
}
