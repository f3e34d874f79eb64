import { unlessDamaged } from '../../kernel/fault.ts';
import type { CollectOptions, RemovingParts } from '../collect/collect-options.ts';
import { readWhole } from '../collect/rewriting/read-whole.ts';
import { RootMarking, type MarkedRoots } from '../collect/roots/root-marking.ts';
import { ProvenPoints } from '../collect/roots/proven-points.ts';
import { ExcludedSlots } from '../points/excluded-slots.ts';
import { FrameFetcher } from '../tasks/frame-fetcher.ts';
import {
  parsePackKey,
  parsePointKey,
  pointKey,
  PREFIXES,
  sealKey,
  type PackName,
} from '../format/object-names.ts';
import { MapNodes } from '../maps/map-tree.ts';
import type { ObjectEntry, ObjectKey, ObjectStore } from '../store/object-store.ts';
import type { OpenPack } from '../packs/open-pack.ts';
import { Packs } from '../packs/packs.ts';
import type { Running } from '../../kernel/progress.ts';
import { keysOf } from './copy-place.ts';
import { pairedListing } from './paired-listing.ts';

/** What a copy still holds although the source removed it, and what of that may go. */
export interface CopyPrunePlan {
  /** Points that were given up, each preceded by its seal. */
  readonly points: readonly ObjectKey[];
  readonly packs: readonly ObjectEntry[];
  readonly bytes: number;
  /** Packs that the source no longer has and the copy keeps, because a point may need them. */
  readonly keptPacks: number;
}

/**
 * Follows the source's collections in a copy. This needs the vault's key, because it is the copy's
 * own collection: the source's `gc/`, copied, is its G1, and marking what the copy's points need,
 * afterwards, is its G2. A pack goes only if a genuine list condemns some of it or another
 * generation of it is there, and if no slot that a point of the copy needs goes with it: such slots
 * are read in the other generation, and their ids are recomputed.
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
   * @param options what is gone from the copy for good
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
   * Plans, and removes nothing.
   * @throws Fault `vault.collect-unsure` if it cannot read all that the copy's points need;
   *   `vault.list-incomplete`, `vault.points-missing` if the copy's lists cannot be believed
   */
  async plan(): Promise<CopyPrunePlan> {
    const { signal } = this.#running;
    await this.#excluded.readCondemned(signal);
    const nodes = new MapNodes(this.#target.base, this.#packs);
    // The source is another store, and most of its points are in the copy: its list shows whether
    // the copy's list leaves points out.
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

  /** Carries out a plan that was made just now. */
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

  /** Lists packs that only the target has, each with the target's other generations of it. */
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
    // No list of the source shows a pack that a writer of the copy has just put and no point names
    // yet.
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
   * Whether all these slots of an object are in others too: first by name, then by reading them.
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
    // An object that cannot be read covers nothing, and is not removed either.
    return unlessDamaged(async () => this.#packs.openExact(name, this.#running.signal));
  }

  /** Returns points that are retired, not held, and gone from the source. */
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
