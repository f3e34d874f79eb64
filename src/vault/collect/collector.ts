import { setTimeout as pause } from 'node:timers/promises';
import { packKey } from '../format/object-names.ts';
import { MapNodes } from '../maps/map-tree.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import { FrameFetcher } from '../tasks/frame-fetcher.ts';
import type { Packs } from '../packs/packs.ts';
import type { PointName } from '../points/retirements.ts';
import { SlotUnion } from '../slots/slot-set.ts';
import { ulidTimeMs, type Ulid } from '../bytes/ulid.ts';
import type { Running } from '../../kernel/progress.ts';
import { collectRules, markingBytes, refuseUncollectable } from './collect-options.ts';
import type { CollectOptions, CollectReport, CollectRules } from './collect-options.ts';
import type { RemovingParts } from './collect-options.ts';
import { ProvenPoints } from './roots/proven-points.ts';
import { giveUpAbandoned, giveUpUnreadable } from './roots/abandoned.ts';
import { believe, type Belief } from './roots/believing.ts';
import { CollectRecord } from './collect-record.ts';
import { compact, dropGenerations } from './rewriting/compaction.ts';
import { CondemnedLists } from './slots/condemned-lists.ts';
import { DeadSlots } from './slots/dead-slots.ts';
import { findFresh } from './slots/fresh-condemned.ts';
import { ALL_PACKS } from './slots/live-slots.ts';
import { finishMerge, merge, mergeGroups, type Merging } from './rewriting/merging.ts';
import { footersOf, type Opening } from './rewriting/opening.ts';
import { listPacks, totalSize } from './rewriting/pack-listing.ts';
import type { ListedPack, PackListing } from './rewriting/pack-listing.ts';
import type { Marking } from './roots/marking.ts';
import { storedBytesOf } from './rewriting/stored-bytes.ts';
import { unlessFull } from './rewriting/unless-full.ts';
import { RootMarking, type MarkedRoots } from './roots/root-marking.ts';

/**
 * Frees the space of retired points: docs/vault-format.md, section 10. Any number of collections
 * and backups may run at once, on any machines; if a collection dies, the next one continues it.
 * @throws Fault `vault.collect-unsure` if it cannot read all that is needed;
 *   `vault.list-incomplete`, `vault.points-missing`, `vault.collect-unproven` if the lists cannot
 *   be believed. Nothing was removed then.
 */
export async function collectVault(
  parts: RemovingParts,
  options: CollectOptions,
  running: Running,
): Promise<CollectReport> {
  refuseUncollectable(parts);
  return new Collection(parts, options, running).run();
}

class Collection {
  readonly #parts: RemovingParts;
  readonly #options: CollectOptions;
  readonly #rules: CollectRules;
  readonly #running: Running;
  readonly #packs: Packs;
  readonly #lists: CondemnedLists;
  readonly #roots: RootMarking;
  readonly #record: CollectRecord;
  readonly #proven: ProvenPoints;
  readonly #nodes: MapNodes;
  readonly #opening: Opening;
  readonly #condemnedLists: ObjectKey[] = [];
  /** Retired points, and lists to carry out, as they were at the first share. */
  #retired: ReadonlySet<Ulid> | undefined;
  #open: readonly ObjectKey[] | undefined;
  #rewriteLeft: number;
  #belief: Belief = { standingPoints: 0, vms: 0 };

  constructor(parts: RemovingParts, options: CollectOptions, running: Running) {
    const { base, format } = parts;
    const nodes = MapNodes.forWalk(parts);
    this.#parts = parts;
    this.#options = options;
    this.#record = new CollectRecord(parts, options, running);
    this.#rules = collectRules(options, format.packBytes);
    this.#running = running;
    this.#packs = nodes.packs;
    this.#opening = {
      packs: nodes.packs,
      damaged: (key) => this.#record.damaged.add(key),
      signal: running.signal,
    };
    this.#lists = new CondemnedLists(base);
    this.#nodes = nodes;
    this.#proven = new ProvenPoints(parts, options, running.signal);
    this.#roots = new RootMarking(parts, nodes, running, { proven: this.#proven });
    this.#rewriteLeft = this.#rules.rewriteBytes;
  }

  async run(): Promise<CollectReport> {
    const { signal } = this.#running;
    const { knownPoints = [] } = this.#options;
    const options = { abandonedMs: this.#rules.abandonedMs, knownPoints };
    const givenUpPoints = await giveUpAbandoned(this.#parts, this.#roots, options, signal);
    // G0.a: packs before points.
    const packs = await listPacks(this.#parts.base.store, signal);
    await this.#record.step('listed');
    await this.#lists.read(signal);
    for (let from = ALL_PACKS.from; from < ALL_PACKS.to;) {
      from = await this.#collectShare(packs, from);
    }
    const open = new Set([...(this.#open ?? []), ...this.#condemnedLists]);
    for (const list of open) {
      await this.#lists.markDone(list, signal);
      await this.#record.step('done', list);
    }
    return {
      ...this.#record.counts,
      ...this.#belief,
      givenUpPoints,
      removedPoints: this.#record.removedPoints,
      condemnedLists: this.#condemnedLists,
      carriedOutLists: [...open].filter((key) => !this.#condemnedLists.includes(key)),
      damagedPacks: [...this.#record.damaged],
    };
  }

  /**
   * G0.h: does G0 to G3 for the packs whose places begin at `from`, as if the others were not
   * listed. Usually one share covers all packs.
   * @returns where the next share begins
   */
  async #collectShare(packs: PackListing, from: number): Promise<number> {
    const { signal } = this.#running;
    const giveUp = async (point: PointName): Promise<boolean> =>
      giveUpUnreadable(this.#parts, point, signal);
    const rules = { from, bytesMax: markingBytes(this.#options, packs.totalBytes) };
    const before = await this.#roots.mark({ giveUp, rules });
    this.#belief = await believe({
      ...{ parts: this.#parts, nodes: this.#nodes, packs, marked: before, signal },
      ...{ options: this.#options, proven: this.#proven, youngMs: this.#rules.youngMs },
      condemned: async () => this.#lists.slots,
    });
    if (this.#belief.waitsUntilMs !== undefined) {
      return ALL_PACKS.to;
    }
    this.#retired ??= new Set(before.dead.map(({ id }) => id));
    await this.#record.step('marked');
    await this.#condemn(packs, before);
    if (this.#rules.graceMs > 0) {
      this.#running.report?.({ phase: 'waiting', doneBytes: 0, totalBytes: 0 });
      await (this.#options.wait ?? wait)(this.#rules.graceMs, signal);
      await this.#record.step('waited');
    }
    // Only what was condemned by now may be removed: G2 begins here.
    const { slots: condemned } = this.#lists;
    const { changes } = condemned;
    this.#open ??= [...this.#lists.open];
    // G2.a.
    const now = await this.#roots.mark({ before, giveUp, rules });
    await this.#record.step('relisted');
    for (const key of now.marking.damaged) {
      this.#record.damaged.add(key);
    }
    const { to } = now.marking.live.share;
    if (to === ALL_PACKS.to) {
      // G3.a. In the last share everything that these points alone needed is condemned.
      const known = this.#retired;
      for (const point of now.dead.filter(({ id }) => known.has(id))) {
        await this.#record.removePoint(point);
      }
    }
    await this.#tidy(packs, new DeadSlots(condemned, changes, now.marking), now.marking);
    return to;
  }

  /** G1.a. */
  async #condemn(packs: PackListing, { marking }: MarkedRoots): Promise<void> {
    const parts = findFresh({
      packs,
      marking,
      condemned: this.#lists.slots,
      youngFromMs: this.#parts.clock.nowMs() - this.#rules.youngMs,
      rules: this.#rules,
      rewriteBytes: this.#rewriteLeft,
      footers: async (pack) => footersOf(this.#opening, pack),
      left: (bytes) => {
        this.#record.counts.deadBytesLeft += bytes;
      },
    });
    for await (const part of parts) {
      this.#condemnedLists.push(await this.#lists.write(part, this.#running.signal));
    }
    await this.#record.step('condemned');
  }

  /** G3. */
  async #tidy(packs: PackListing, dead: DeadSlots, { live }: Marking): Promise<void> {
    const tidying = this.#merging(dead);
    const shared = [...packs.values()].filter(({ ulid }) => live.isInShare(ulid));
    const done = { phase: 'collecting', doneBytes: 0, totalBytes: shared.length, counted: 'packs' };
    // G3.b. Removes whole packs first: rewriting others takes room, and there may be none.
    const gone = shared.filter(({ ulid }) => dead.hasAll(ulid));
    for (const pack of gone) {
      await this.#record.removePack(pack);
      done.doneBytes += 1;
      this.#running.report?.(done);
    }
    const small: ListedPack[] = [];
    for (const pack of shared.filter(({ ulid }) => !dead.hasAll(ulid))) {
      this.#running.signal.throwIfAborted();
      const kept = await unlessFull(
        () => this.#tidyPack(tidying, packs, pack),
        this.#stopRewriting,
      );
      if (kept !== undefined && totalSize(kept.objects) < this.#rules.smallPackBytes) {
        small.push(kept);
      }
      done.doneBytes += 1;
      this.#running.report?.(done);
    }
    await unlessFull(() => this.#merge(tidying, small), this.#stopRewriting);
  }

  readonly #stopRewriting = (): void => {
    this.#rewriteLeft = 0;
    this.#record.counts.noRoomToRewrite = true;
  };

  /** @returns the pack if it is to be considered for merging */
  async #tidyPack(
    tidying: Merging,
    packs: PackListing,
    listed: ListedPack,
  ): Promise<ListedPack | undefined> {
    const { dead } = tidying;
    let pack = listed;
    if (pack.objects.length > 1 && this.#affords(totalSize(pack.objects))) {
      const dropped = await dropGenerations(tidying, pack);
      this.#rewriteLeft -= dropped.readBytes;
      pack = dropped.pack;
    }
    if (dead.touches(pack.ulid)) {
      const footers = await footersOf(tidying, pack);
      const best = footers.at(-1);
      if (best === undefined) {
        return undefined;
      }
      if (footers.every((footer) => dead.hasAllOf(pack.ulid, footer))) {
        await this.#record.removePack(pack);
        return undefined;
      }
      return this.#compact(tidying, pack, best);
    }
    if (tidying.packs.aliases.touches(pack.ulid) && this.#affords(totalSize(pack.objects))) {
      if (await finishMerge(tidying, packs, pack)) {
        this.#record.counts.mergedPacks += 1;
        return undefined;
      }
    }
    return this.#isYoung(pack) ? undefined : pack;
  }

  async #compact(
    tidying: Merging,
    pack: ListedPack,
    best: PackFooter,
  ): Promise<ListedPack | undefined> {
    const share = tidying.dead.keptShare(pack.ulid, best);
    const size = pack.objects.at(-1)?.size ?? 0;
    // Rewrites a pack only if it has one generation; the next collection handles the rest.
    const isWorth = share < this.#rules.liveShare && pack.objects.length === 1;
    if (isWorth && this.#affords(size)) {
      this.#rewriteLeft -= size;
      if (await compact(tidying, pack)) {
        this.#record.counts.compactedPacks += 1;
        return undefined;
      }
    }
    const left = storedBytesOf(best, (slot) => tidying.dead.has(pack.ulid, slot));
    this.#record.counts.deadBytesLeft += Math.round(left);
    return pack;
  }

  async #merge(merging: Merging, packs: Iterable<ListedPack>): Promise<void> {
    const rules = { ...this.#rules, packBytes: this.#parts.format.packBytes };
    const worth = [...packs].filter((pack) => !this.#isYoung(pack));
    for (const group of mergeGroups(worth, rules)) {
      const bytes = group.reduce((sum, { objects }) => sum + totalSize(objects), 0);
      if (!this.#affords(bytes)) {
        return;
      }
      this.#rewriteLeft -= bytes;
      this.#record.counts.mergedPacks += await merge(merging, group);
    }
  }

  #merging(dead: DeadSlots): Merging {
    const { signal } = this.#running;
    return {
      ...this.#opening,
      fetcher: new FrameFetcher(this.#packs, this.#parts.pool, true),
      dead,
      nowMs: () => this.#parts.clock.nowMs(),
      remove: async ({ name, size }, step) => {
        const key = packKey(name);
        const isGone = await this.#record.remove(key, size);
        await this.#record.step(step, key);
        return isGone;
      },
      sent: async (step, key) => this.#record.step(step, key),
      wrote: (bytes) => {
        this.#record.counts.writtenBytes += bytes;
      },
      condemnedNow: async () => {
        return new SlotUnion(this.#lists.slots, await this.#lists.readLater(signal));
      },
    };
  }

  #affords(bytes: number): boolean {
    return bytes <= this.#rewriteLeft;
  }

  #isYoung({ ulid }: ListedPack): boolean {
    return ulidTimeMs(ulid) > this.#parts.clock.nowMs() - this.#rules.youngMs;
  }
}

async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal });
}
