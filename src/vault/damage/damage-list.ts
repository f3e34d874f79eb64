import { encodeControl } from '../control/control-object.ts';
import { PREFIXES, randomSuffix } from '../format/object-names.ts';
import { nextNumbered } from '../format/numbered-objects.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import type { SlotSet } from '../slots/slot-set.ts';

/**
 * Writes `bad/<n>-<rand>`: from now on writers heal these slots and do not deduplicate against
 * them.
 */
export async function writeDamage(
  base: VaultBase,
  slots: SlotSet,
  signal: AbortSignal,
): Promise<ObjectKey> {
  const key = await nextNumbered(base.store, PREFIXES.damaged, signal);
  await base.store.put(key, encodeControl(base.keys, 'bad', key, slots.encode()), signal);
  return key;
}

/**
 * Writes `bad/<n>-<rand>.<rand>.done`: these slots of that list were rewritten, in another
 * generation of their packs or under their own key, and read back.
 */
export async function writeHealed(
  base: VaultBase,
  list: ObjectKey,
  slots: SlotSet,
  signal: AbortSignal,
): Promise<void> {
  const key = `${list}.${randomSuffix()}.done`;
  await base.store.put(key, encodeControl(base.keys, 'done', key, slots.encode()), signal);
}
