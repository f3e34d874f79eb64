import { integrityOrThrow } from '../../../kernel/fault.ts';
import { joinAliases, type Alias, type SlotName } from '../../packs/aliases.ts';
import { packKey, randomSuffix, type PackKind, type PackName } from '../../format/object-names.ts';
import type { SlotLookup } from '../../slots/slot-set.ts';
import { FRAMES_MAX, SLOTS_MAX } from '../../format/limits.ts';
import type { OpenPack } from '../../packs/open-pack.ts';
import { newUlid } from '../../bytes/ulid.ts';
import type { Tidying } from './compaction.ts';
import { openStored } from './opening.ts';
import type { PackListing, ListedPack, PackObject } from './pack-listing.ts';
import { PackRewriter } from './pack-rewriter.ts';
import { readWhole } from './read-whole.ts';

/** Metadata packs stay small: a reader fetches nodes of one point, not of all. */
const METADATA_BYTES = 8 * 1024 * 1024;
const SMALL_METADATA_BYTES = METADATA_BYTES / 8;

export interface MergeRules {
  readonly packBytes: number;
  readonly smallPackBytes: number;
  /** Merging fewer small packs than this does not pay. */
  readonly mergeCount: number;
}

export interface Merging extends Tidying {
  readonly nowMs: () => number;
  /**
   * Returns what is condemned, read after an alias was put: a superset of what this collection may
   * remove.
   */
  readonly condemnedNow: () => Promise<SlotLookup>;
}

/** Groups the packs that are worth merging: one group per new pack. */
export function mergeGroups(packs: Iterable<ListedPack>, rules: MergeRules): ListedPack[][] {
  const groups: ListedPack[][] = [];
  const candidates = [...packs].filter(({ objects }) => objects.length === 1);
  for (const kind of ['data', 'metadata'] as const) {
    const { small, target } = sizesFor(kind, rules);
    const sorted = candidates
      .filter((pack) => pack.kind === kind && sizeOf(pack) < small)
      .sort((a, b) => sizeOf(a) - sizeOf(b));
    let group: ListedPack[] = [];
    let bytes = 0;
    for (const pack of sorted) {
      // Reading a pack as large as all the others together would gain little.
      const isWorth = group.length < rules.mergeCount / 2 || sizeOf(pack) <= bytes;
      if (!isWorth || bytes + sizeOf(pack) > target) {
        groups.push(group);
        [group, bytes] = [[], 0];
      }
      group.push(pack);
      bytes += sizeOf(pack);
    }
    groups.push(group);
  }
  return groups
    .filter((group) => group.length >= Math.max(2, rules.mergeCount))
    .map((group) => group.sort((a, b) => (a.ulid < b.ulid ? -1 : 1)));
}

/**
 * G3.d: copies all slots of several packs that are not dead into a new pack, records that in
 * `alias/`, and then removes the old packs. It removes them only after `gc/`, listed after the
 * alias was put, shows that nobody condemned the new pack.
 * @returns how many packs were merged
 */
export async function merge(merging: Merging, group: readonly ListedPack[]): Promise<number> {
  const { packs, signal, sent, wrote } = merging;
  const sources = await openSources(merging, group);
  const made = sources.length < 2 ? undefined : await copyAll(merging, sources);
  if (made === undefined || made.pairs.length === 0) {
    return 0;
  }
  const { name, bytes } = await made.rewriter.finish();
  wrote(bytes);
  await sent('merged-sent', packKey(name));
  const key = await packs.aliases.write(joinAliases(made.pairs), signal);
  await sent('merged-aliased', key);
  if ((await merging.condemnedNow()).touches(name.ulid)) {
    // A collector that did not know the alias condemned the new pack: the old ones stay.
    return 0;
  }
  for (const { object } of sources) {
    await merging.remove(object, 'merged-removed');
  }
  return sources.length;
}

interface MergeSource {
  readonly object: PackObject;
  readonly open: OpenPack;
}

type AliasPair = Pick<Alias, 'from' | 'to'>;

/** Opens as many packs as fit into one. */
async function openSources(merging: Merging, group: readonly ListedPack[]): Promise<MergeSource[]> {
  const sources: MergeSource[] = [];
  for (const { objects } of group) {
    const [object] = objects;
    const open = object && (await openStored(merging, object));
    const opened = sources.map((source) => source.open);
    if (object !== undefined && open !== undefined && fits([...opened, open])) {
      sources.push({ object, open });
    }
  }
  return sources;
}

/** @returns undefined if a slot that must be copied is damaged */
async function copyAll(
  { packs, dead, signal, nowMs, damaged }: Merging,
  sources: readonly MergeSource[],
): Promise<{ rewriter: PackRewriter; pairs: AliasPair[] } | undefined> {
  const ulid = newUlid(nowMs());
  const kind = sources[0]?.open.name.kind ?? 'data';
  const name: PackName = { kind, ulid, generation: 0, rand: randomSuffix() };
  const rewriter = new PackRewriter(packs, name, signal);
  const pairs: AliasPair[] = [];
  for (const { open } of sources) {
    const old = open.name.ulid;
    const kept = presentSlots(open).filter((slot) => !dead.has(old, slot));
    const start = rewriter.slots;
    for (const [index, slot] of kept.entries()) {
      pairs.push({ from: { ulid: old, slot }, to: { ulid, slot: start + index } });
    }
    const keep = new Set(kept);
    try {
      await rewriter.take(open, (slot) => keep.has(slot), false);
    } catch (error) {
      integrityOrThrow(error);
      // G3.h. A repair needs the object as it is.
      damaged(open.objectKey);
      return undefined;
    }
  }
  return { rewriter, pairs };
}

/**
 * G3.e: removes a pack whose merge was interrupted, if every slot that is not dead is also under
 * another name: an alias leads there, the slot was read just now and matches its id, and it is not
 * condemned.
 */
export async function finishMerge(
  merging: Merging,
  listing: PackListing,
  pack: ListedPack,
): Promise<boolean> {
  const { fetcher, dead, signal } = merging;
  const [object, another] = pack.objects;
  const open = object && another === undefined && (await openStored(merging, object));
  if (open === undefined || open === false) {
    return false;
  }
  const targets = new Map<OpenPack, number[]>();
  const opened = new Map<string, OpenPack | undefined>();
  const condemned = await merging.condemnedNow();
  for (const slot of presentSlots(open)) {
    if (dead.has(pack.ulid, slot)) {
      continue;
    }
    const known = { listing, condemned, opened, id: open.footer.id(slot) };
    const target = await onward(merging, known, { ulid: pack.ulid, slot });
    if (target === undefined) {
      return false;
    }
    targets.set(target.open, [...(targets.get(target.open) ?? []), target.slot]);
  }
  for (const [target, slots] of targets) {
    if (!(await readWhole(fetcher, target, signal, slots))) {
      return false;
    }
  }
  return merging.remove(object, 'merged-removed');
}

/**
 * Follows the aliases of a slot to a place that can be relied on. Returns undefined if there is
 * none.
 */
async function onward(
  merging: Merging,
  known: {
    readonly listing: PackListing;
    readonly condemned: SlotLookup;
    readonly opened: Map<string, OpenPack | undefined>;
    /** Id that the slot must have there. */
    readonly id: Uint8Array;
  },
  start: SlotName,
): Promise<{ open: OpenPack; slot: number } | undefined> {
  for (const { ulid, slot } of merging.packs.aliases.chain(start)) {
    const object = known.listing.get(ulid)?.objects.at(-1);
    if (object === undefined || known.condemned.has(ulid, slot)) {
      continue;
    }
    if (!known.opened.has(ulid)) {
      known.opened.set(ulid, await openStored(merging, object));
    }
    const open = known.opened.get(ulid);
    if (open !== undefined && open.footer.size(slot) > 0 && open.footer.hasId(slot, known.id)) {
      return { open, slot };
    }
  }
  return undefined;
}

function sizesFor(
  kind: PackKind,
  { packBytes, smallPackBytes }: MergeRules,
): { small: number; target: number } {
  return kind === 'data'
    ? { small: smallPackBytes, target: packBytes }
    : {
        small: Math.min(smallPackBytes, SMALL_METADATA_BYTES),
        target: Math.min(packBytes, METADATA_BYTES),
      };
}

function sizeOf({ objects }: ListedPack): number {
  return objects[0]?.size ?? 0;
}

function presentSlots({ footer }: OpenPack): number[] {
  return Array.from(footer.sizes.keys()).filter((slot) => footer.size(slot) > 0);
}

/** Counts frames twice, because packing anew may add some. */
function fits(sources: readonly OpenPack[]): boolean {
  const sum = (count: (open: OpenPack) => number): number =>
    sources.reduce((total, open) => total + count(open), 0);
  return (
    sum(({ footer }) => footer.slots) < SLOTS_MAX &&
    sum(({ footer }) => footer.frames.length * 2) < FRAMES_MAX
  );
}
