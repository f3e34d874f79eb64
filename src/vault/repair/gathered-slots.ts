import { isFault } from '../../kernel/fault.ts';
import { getOrDamage } from '../format/object-limit.ts';
import { packKey, type PackName } from '../format/object-names.ts';
import { sameBytes } from '../keys/key-tree.ts';
import type { Generation, GenerationSource } from '../checks/pack-generations.ts';
import type { FrameFetcher } from '../tasks/frame-fetcher.ts';
import { salvagePack, type SalvagedSlot } from './salvage.ts';

/** The generations of a pack in one place, newest first. */
export interface PlacedGenerations {
  readonly place: GenerationSource;
  readonly generations: readonly Generation[];
}

/**
 * Returns every slot that a footer of the pack names, with its content if any generation still has
 * it. Earlier places and generations come first.
 */
export async function gatherSlots(
  places: readonly PlacedGenerations[],
  signal: AbortSignal,
): Promise<Map<number, SalvagedSlot>> {
  const gathered = new Map<number, SalvagedSlot>();
  const objects = places.flatMap(({ place, generations }) =>
    generations.map(({ name }) => ({ place, name })),
  );
  for (const { place, name } of objects) {
    for (const [slot, salvaged] of await salvagedSlots(place, name, signal)) {
      if (salvaged.size > 0 && gathered.get(slot)?.content === undefined) {
        // Content that decrypts but does not match its id does not help.
        const isRemedy = await hasId(place.fetcher, name, salvaged);
        gathered.set(slot, isRemedy ? salvaged : { ...salvaged, content: undefined });
      }
    }
  }
  return gathered;
}

/** Reads one object; what is damaged as a whole, or gone by now, has no slots. */
async function salvagedSlots(
  { fetcher: { packs }, cache }: GenerationSource,
  name: PackName,
  signal: AbortSignal,
): Promise<Iterable<readonly [number, SalvagedSlot]>> {
  const object = await getOrDamage(packs.base.store, packKey(name), signal);
  if (object === undefined || isFault(object)) {
    return [];
  }
  const { slots } = await salvagePack(packs, name, object, cache);
  return slots.entries();
}

/** Whether the content of a slot matches its id, if this machine can tell. */
async function hasId(
  { packs, pool, ids }: FrameFetcher,
  { kind }: PackName,
  { id, content }: SalvagedSlot,
): Promise<boolean> {
  if (content === undefined) {
    return false;
  }
  if (kind === 'metadata') {
    return sameBytes(packs.base.keys.mac16('map', content), id);
  }
  const { length } = content;
  const bytes = Uint8Array.from(content);
  const expected = [{ offset: 0, length, id: Uint8Array.from(id) }];
  const wrong = await ids.run(async (withIds) =>
    withIds ? pool.run({ kind: 'compare', bytes, expected }) : [],
  );
  return wrong.length === 0;
}
