import { isFault } from '../../kernel/fault.ts';
import type { CollectOptions, RemovingParts } from '../collect/collect-options.ts';
import { readWhole } from '../collect/read-whole.ts';
import { RootMarking, type MarkedRoots } from '../collect/root-marking.ts';
import { ProvenPoints } from '../absence/proven-points.ts';
import { ExcludedSlots } from '../excluded-slots.ts';
import { FrameFetcher } from '../frame-fetcher.ts';
import {
  parsePackKey,
  parsePointKey,
  pointKey,
  PREFIXES,
  sealKey,
  type PackName,
} from '../layout.ts';
import { MapNodes } from '../map-tree.ts';
import type { ObjectEntry, ObjectKey, ObjectStore } from '../object-store.ts';
import { Packs, type OpenPack } from '../packs.ts';
import type { Running } from '../vault-options.ts';
import { keysOf } from './copy-place.ts';
import { pairedListing } from './paired-listing.ts';

/** What the source has removed and the copy still holds, and may go. */
export interface CopyPrunePlan {
  /** Points that were given up: seal first. */
  readonly points: readonly ObjectKey[];
  readonly packs: readonly ObjectEntry[];
  readonly bytes: number;
  /**
   * Packs that the source no longer has and the copy keeps, because something of it may need them.
   */
  readonly keptPacks: number;
}

/**
 * Follows the source's collections in a copy. This needs the key of the vault, for it is the copy's
 * own collection: `gc/` of the source, copied, is its G1; marking what the points of the copy need,
 * afterwards, its G2. A pack goes only if a genuine list condemns something of it, or another
 * generation of it is there, and no slot that a point of the copy needs would be lost with it:
 * those are read in the other generation, and their ids computed.
 */
export class CopyPruning {
  readonly #source: ObjectStore;
  readonly #target: RemovingParts;
  readonly #running: Running;
  readonly #options: Pick<CollectOptions, 'gonePoints' | 'goneObjects'>;
  readonly #packs: Packs;
  readonly #excluded: ExcludedSlots;

  /**
   * @param target the copy, opened
   * @param options what of the copy is gone for good
   */
  constructor(
    source: ObjectStore,
    target: RemovingParts,
    running: Running,
    options: Pick<CollectOptions, 'gonePoints' | 'goneObjects'> = {},
  ) {
    this.#source = source;
    this.#options = options;
    this.#target = target;
    this.#running = running;
    this.#packs = new Packs(target.base, target.cache, target.log);
    this.#excluded = new ExcludedSlots(target.base, target.log);
  }

  /**
   * Removes nothing.
   * @throws Fault `vault.collect-unsure` if what the points of the copy need cannot all be read,
   *   `vault.list-incomplete`, `vault.points-missing` if its lists are not to be believed
   */
  async plan(): Promise<CopyPrunePlan> {
    const { signal } = this.#running;
    await this.#excluded.readCondemned(signal);
    const nodes = new MapNodes(this.#target.base, this.#packs);
    // Most points of the source are in the copy, and that is another store: what its list shows is
    // a sign.
    const likelyPoints = [...(await keysOf(this.#source, PREFIXES.points, signal))]
      .map(parsePointKey)
      .filter((name) => name !== undefined)
      .filter(({ isSeal }) => !isSeal);
    const options = { ...this.#options, likelyPoints };
    const proven = new ProvenPoints(this.#target, options, signal);
    const marked = await new RootMarking(this.#target, nodes, this.#running, { proven }).mark();
    await proven.remember(marked.listing, marked.aliasKeys);
    const packs: ObjectEntry[] = [];
    let keptPacks = 0;
    for (const prefix of [PREFIXES.data, PREFIXES.metadata]) {
      for (const { removed, here } of await this.#beyond(prefix)) {
        if (await this.#mayGo(removed.name, here, marked)) {
          packs.push(removed.entry);
        } else {
          keptPacks += 1;
        }
      }
    }
    const bytes = packs.reduce((sum, { size }) => sum + size, 0);
    return { points: await this.#deadPoints(marked), packs, bytes, keptPacks };
  }

  /** Carries out a plan of just now. */
  async run({ points, packs }: CopyPrunePlan): Promise<void> {
    const { store } = this.#target.base;
    const { signal, report } = this.#running;
    for (const key of points) {
      await store.remove(`${key}.ok`, signal);
      await store.remove(key, signal);
    }
    let doneBytes = 0;
    const totalBytes = packs.reduce((sum, { size }) => sum + size, 0);
    for (const { key, size } of packs) {
      await store.remove(key, signal);
      doneBytes += size;
      report?.({ phase: 'removing', doneBytes, totalBytes });
    }
  }

  /**
   * Packs that the target has and the source has not, each with the target's other generations of
   * it.
   */
  async #beyond(prefix: string): Promise<Beyond[]> {
    const beyond: { name: PackName; entry: ObjectEntry }[] = [];
    const shared = new Map<string, PackName[]>();
    for await (const entry of pairedListing(
      this.#source,
      this.#target.base.store,
      prefix,
      this.#running.signal,
    )) {
      const name = parsePackKey(entry.key);
      if (name === undefined || entry.targetBytes === undefined) {
        continue;
      }
      if (entry.sourceBytes === undefined) {
        beyond.push({ name, entry: { key: entry.key, size: entry.targetBytes } });
      } else if (name.generation > 0 || shared.has(name.ulid)) {
        shared.set(name.ulid, [...(shared.get(name.ulid) ?? []), name]);
      }
    }
    return beyond.map((removed) => ({ removed, here: shared.get(removed.name.ulid) ?? [] }));
  }

  async #mayGo(
    name: PackName,
    here: readonly PackName[],
    { marking: { live } }: MarkedRoots,
  ): Promise<boolean> {
    // What a writer of the copy has just put, and no point names yet, is in no list of the source.
    if (!this.#excluded.condemned.touches(name.ulid) && here.length === 0) {
      return false;
    }
    const handle = live.handle(name.ulid);
    if (live.isEmpty(handle)) {
      return true;
    }
    const own = await this.#open(name);
    if (own === undefined) {
      return false;
    }
    const { footer } = own;
    const needed: number[] = [];
    for (let slot = 0; slot < footer.slots; slot++) {
      if (footer.size(slot) > 0 && live.has(handle, slot)) {
        needed.push(slot);
      }
    }
    return this.#areElsewhere(own, needed, here);
  }

  /**
   * Whether all these slots of an object lie in others too: by their names, and then by what is
   * really in them.
   */
  async #areElsewhere(
    { footer }: OpenPack,
    needed: readonly number[],
    others: readonly PackName[],
  ): Promise<boolean> {
    const fetcher = new FrameFetcher(this.#packs, this.#target.pool, true);
    let left = needed;
    for (const name of others) {
      const other = await this.#open(name);
      const has = (slot: number): boolean =>
        other?.footer.size(slot) === footer.size(slot) && other.footer.hasId(slot, footer.id(slot));
      const there = left.filter(has);
      if (
        other !== undefined &&
        there.length > 0 &&
        (await readWhole(fetcher, other, this.#running.signal, there))
      ) {
        left = left.filter((slot) => !has(slot));
      }
    }
    return left.length === 0;
  }

  async #open(name: PackName): Promise<OpenPack | undefined> {
    try {
      return await this.#packs.openExact(name, this.#running.signal);
    } catch (error) {
      if (!isFault(error) || error.kind !== 'integrity') {
        throw error;
      }
      // What cannot be read serves nothing and is not removed either.
      return undefined;
    }
  }

  /** Retired, not held, and gone from the source. */
  async #deadPoints({ dead }: MarkedRoots): Promise<ObjectKey[]> {
    const there = await keysOf(this.#source, PREFIXES.points, this.#running.signal);
    return dead
      .filter(({ vmId, id }) => !there.has(pointKey(vmId, id)) && !there.has(sealKey(vmId, id)))
      .map(({ vmId, id }) => pointKey(vmId, id));
  }
}

interface Beyond {
  readonly removed: { readonly name: PackName; readonly entry: ObjectEntry };
  readonly here: readonly PackName[];
}
