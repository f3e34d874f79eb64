import type { Clock } from '../../kernel/clock.ts';
import { Fault, isFault } from '../../kernel/fault.ts';
import { fittingNotes } from '../points/fitting-notes.ts';
import { MapNodes } from '../maps/map-tree.ts';
import type { SlotReference } from '../packs/open-pack.ts';
import { Packs } from '../packs/packs.ts';
import { pointKey } from '../format/object-names.ts';
import type { PointDocument } from '../points/point-object.ts';
import { broughtBackNote, contentId } from '../points/point-order.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import type { PointName } from '../points/retirements.ts';
import type { SlotSet } from '../slots/slot-set.ts';
import { newUlid, ulidTimeMs } from '../bytes/ulid.ts';
import type { Running } from '../../kernel/progress.ts';
import type { OpenedVault } from '../control/opened-vault.ts';
import { PackPresence } from '../presence/pack-presence.ts';
import type { CollectParts } from '../collect/collect-options.ts';
import { CondemnedLists } from '../collect/slots/condemned-lists.ts';
import { walkPoint } from '../points/map-walk.ts';

/** `onStep` is awaited at each step, for tests that end the process there. */
export interface ReviveOptions {
  readonly onStep?: (step: 'checked' | 'put' | 'checked-again') => Promise<void>;
}

/**
 * W4.b: brings a retired point back as a new one with the same disks. Checks every slot, inherited
 * ones too: one condemned slot is too many, because it may be gone.
 * @throws Fault `vault.point-not-found`, `vault.point-condemned`, `request.invalid` if the point
 *   was not retired
 */
export async function revivePoint(
  parts: CollectParts & { readonly opened: OpenedVault },
  name: PointName,
  options: ReviveOptions,
  running: Running,
): Promise<RecoveryPoint> {
  const { base, points, clock, log, cache, opened } = parts;
  const { signal } = running;
  await opened.prove(signal);
  if ((await points.standing(name, signal)) !== 'retired') {
    throw new Fault('request.invalid', `The recovery point ${name.id} was not retired.`, {
      point: name.id,
    });
  }
  const { document } = await points.load(name, signal);
  const packs = new Packs(base, cache, log);
  const slots = await slotsOf(new MapNodes(base, packs), document, running);
  const lists = new CondemnedLists(base);
  await lists.read(signal);
  requireSpared(packs, document, slots, lists.slots);
  await requirePacks({ packs, clock }, document, slots.keys(), signal);
  await options.onStep?.('checked');
  const revived: PointDocument = {
    ...ofItsOwn(document),
    // The time of the original, because the order of ids is that of the contents. A collector that
    // takes the new point for long abandoned retires it before it is sealed; then reviving fails.
    id: newUlid(ulidTimeMs(contentId(document))),
    notes: fittingNotes([...document.notes, broughtBackNote(document.id)]),
  };
  const object = await points.put(revived, signal);
  await options.onStep?.('put');
  await lists.read(signal);
  try {
    requireSpared(packs, document, slots, lists.slots);
  } catch (error) {
    if (isFault(error, 'vault.point-condemned')) {
      await points.giveUp(revived, clock.nowMs(), signal);
    }
    throw error;
  }
  await options.onStep?.('checked-again');
  return (await points.seal(revived, object, signal)).point;
}

/** Without a parent, and without an origin: no policy may give it up once more. */
function ofItsOwn(document: PointDocument): PointDocument {
  const own = { ...document };
  delete own.parent;
  delete own.origin;
  return own;
}

/** Returns all slots of a point, under the names in its map and under their present names. */
async function slotsOf(
  nodes: MapNodes,
  document: PointDocument,
  { signal }: Running,
): Promise<Map<number, Set<number>>> {
  const slots = new Map<number, Set<number>>();
  const add = ({ pack, slot }: SlotReference): boolean => {
    const ofPack = slots.get(pack) ?? new Set();
    slots.set(pack, ofPack);
    const isNew = !ofPack.has(slot);
    ofPack.add(slot);
    return isNew;
  };
  const visitor = {
    node: add,
    data: (slot: SlotReference, place: SlotReference) => {
      add(slot);
      add(place);
    },
    unknown: (pack: number) => {
      throw condemned(document, nodes.base.numbers.name(pack).ulid);
    },
  };
  try {
    await walkPoint(nodes, document, visitor, signal);
  } catch (error) {
    if (isFault(error, 'vault.pack-missing')) {
      throw condemned(document, String(error.context['pack']));
    }
    throw error;
  }
  return slots;
}

/** Checks the packs by listing: cached footers prove nothing. */
async function requirePacks(
  { packs, clock }: { readonly packs: Packs; readonly clock: Clock },
  document: PointDocument,
  wanted: Iterable<number>,
  signal: AbortSignal,
): Promise<void> {
  const { numbers } = packs.base;
  const presence = new PackPresence(packs, clock);
  const byKind = Map.groupBy(wanted, (pack) => numbers.name(pack).kind);
  for (const [kind, some] of byKind) {
    const [gone] = await presence.missing({ kind, needed: new Set(some), others: [] }, signal);
    if (gone !== undefined) {
      throw condemned(document, numbers.name(gone).ulid);
    }
  }
}

function requireSpared(
  { base }: Packs,
  document: PointDocument,
  slots: ReadonlyMap<number, ReadonlySet<number>>,
  lists: SlotSet,
): void {
  for (const [pack, ofPack] of slots) {
    const { ulid } = base.numbers.name(pack);
    if (lists.touches(ulid) && [...ofPack].some((slot) => lists.has(ulid, slot))) {
      throw condemned(document, ulid);
    }
  }
}

function condemned({ vmId, id }: PointDocument, pack: string): Fault {
  return new Fault(
    'vault.point-condemned',
    `The recovery point ${id} cannot come back: a collection condemned data of it in the pack ${pack}. Restore another point.`,
    { point: pointKey(vmId, id), pack },
  );
}
