import { isFault } from '../../../kernel/fault.ts';
import type { Running } from '../../../kernel/progress.ts';
import { ulidTimeMs } from '../../bytes/ulid.ts';
import { packKey } from '../../format/object-names.ts';
import type { PackFooter } from '../../packs/pack-layout.ts';
import { SlotUnion } from '../../slots/slot-set.ts';
import { FrameFetcher } from '../../tasks/frame-fetcher.ts';
import type { CollectRules, RemovingParts } from '../collect-options.ts';
import type { CollectRecord } from '../collect-record.ts';
import type { CondemnedLists } from '../slots/condemned-lists.ts';
import type { DeadSlots } from '../slots/dead-slots.ts';
import { compact, dropGenerations } from './compaction.ts';
import { finishMerge, merge, mergeGroups, type Merging } from './merging.ts';
import { footersOf, type Opening } from './opening.ts';
import { totalSize, type ListedPack, type PackListing } from './pack-listing.ts';
import type { RewriteAllowance } from './rewrite-allowance.ts';
import { storedBytesOf } from './stored-bytes.ts';

/** What the shares of a collection have in common. */
export interface TidierParts {
  readonly vault: RemovingParts;
  readonly opening: Opening;
  readonly rules: CollectRules;
  readonly record: CollectRecord;
  readonly lists: CondemnedLists;
  readonly allowance: RewriteAllowance;
  readonly running: Running;
}

/** Removes and rewrites packs by what is dead in them: G3.b to G3.f. */
export class PackTidier {
  readonly #parts: TidierParts;
  readonly #listing: PackListing;
  readonly #dead: DeadSlots;
  readonly #merging: Merging;

  /** @param listing of all packs, of which some may be tidied */
  constructor(parts: TidierParts, listing: PackListing, dead: DeadSlots) {
    this.#parts = parts;
    this.#listing = listing;
    this.#dead = dead;
    this.#merging = mergingOf(parts, dead);
  }

  /** Stops rewriting, and goes on, when the store is full. */
  async tidy(packs: readonly ListedPack[]): Promise<void> {
    const { record, running } = this.#parts;
    const done = { phase: 'collecting', doneBytes: 0, totalBytes: packs.length, counted: 'packs' };
    const isDead = ({ ulid }: ListedPack): boolean => this.#dead.hasAll(ulid);
    // G3.b. Removes whole packs first: rewriting others takes room, and there may be none.
    for (const pack of packs.filter(isDead)) {
      await record.removePack(pack);
      done.doneBytes += 1;
      running.report?.(done);
    }
    const small: ListedPack[] = [];
    for (const pack of packs.filter((other) => !isDead(other))) {
      running.signal.throwIfAborted();
      const kept = await this.#unlessFull(() => this.#tidyPack(pack));
      if (kept !== undefined && this.#isForMerging(kept)) {
        small.push(kept);
      }
      done.doneBytes += 1;
      running.report?.(done);
    }
    await this.#unlessFull(() => this.#mergeSmall(small));
  }

  /** @returns the pack as it is then; undefined if nothing more is to be done with it */
  async #tidyPack(listed: ListedPack): Promise<ListedPack | undefined> {
    const pack = await this.#dropGenerations(listed);
    return this.#dead.touches(pack.ulid) ? this.#dropDead(pack) : this.#finishMerge(pack);
  }

  /** G3.f. Reads only the latest generation whole, but asks for room to read them all. */
  async #dropGenerations(pack: ListedPack): Promise<ListedPack> {
    const { objects } = pack;
    const read = objects.at(-1)?.size ?? 0;
    return objects.length > 1 && this.#parts.allowance.take(read, totalSize(objects))
      ? dropGenerations(this.#merging, pack)
      : pack;
  }

  /** G3.b if everything is dead in all generations, else G3.c. */
  async #dropDead(pack: ListedPack): Promise<ListedPack | undefined> {
    const { counts } = this.#parts.record;
    const { ulid } = pack;
    const footers = await footersOf(this.#merging, pack);
    const best = footers.at(-1);
    if (best === undefined) {
      return undefined;
    }
    if (footers.every((footer) => this.#dead.hasAllOf(ulid, footer))) {
      await this.#parts.record.removePack(pack);
      return undefined;
    }
    if (await this.#compact(pack, best)) {
      counts.compactedPacks += 1;
      return undefined;
    }
    const left = storedBytesOf(best, (slot) => this.#dead.has(ulid, slot));
    counts.deadBytesLeft += Math.round(left);
    return pack;
  }

  /** G3.c, if it pays. Leaves a pack with several generations to the next collection. */
  async #compact(pack: ListedPack, footer: PackFooter): Promise<boolean> {
    const { rules, allowance } = this.#parts;
    const { ulid, objects } = pack;
    const isWorth = this.#dead.keptShare(ulid, footer) < rules.liveShare && objects.length === 1;
    return isWorth && allowance.take(totalSize(objects)) && compact(this.#merging, pack);
  }

  /** G3.e. What it reads is not charged, but the allowance must cover the pack. */
  async #finishMerge(pack: ListedPack): Promise<ListedPack | undefined> {
    const { allowance, opening, record } = this.#parts;
    const isBegun = opening.packs.aliases.touches(pack.ulid);
    if (
      isBegun &&
      allowance.take(0, totalSize(pack.objects)) &&
      (await finishMerge(this.#merging, this.#listing, pack))
    ) {
      record.counts.mergedPacks += 1;
      return undefined;
    }
    return pack;
  }

  /** Young packs are left alone: whoever wrote them may still be writing. */
  #isForMerging({ ulid, objects }: ListedPack): boolean {
    const { rules, vault } = this.#parts;
    const isYoung = ulidTimeMs(ulid) > vault.clock.nowMs() - rules.youngMs;
    return !isYoung && totalSize(objects) < rules.smallPackBytes;
  }

  /** G3.d. */
  async #mergeSmall(small: readonly ListedPack[]): Promise<void> {
    const { vault, rules, allowance, record } = this.#parts;
    for (const group of mergeGroups(small, { ...rules, packBytes: vault.format.packBytes })) {
      const bytes = group.reduce((sum, { objects }) => sum + totalSize(objects), 0);
      if (!allowance.take(bytes)) {
        return;
      }
      record.counts.mergedPacks += await merge(this.#merging, group);
    }
  }

  /** Ends rewriting when the store is full, without ending the collection: the next one goes on. */
  async #unlessFull<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!isFault(error, 'store.full')) {
        throw error;
      }
      this.#parts.allowance.end();
      this.#parts.record.counts.noRoomToRewrite = true;
      return undefined;
    }
  }
}

function mergingOf({ vault, opening, record, lists }: TidierParts, dead: DeadSlots): Merging {
  return {
    ...opening,
    fetcher: new FrameFetcher(opening.packs, vault.pool, true),
    dead,
    nowMs: () => vault.clock.nowMs(),
    remove: async ({ name, size }, step) => {
      const key = packKey(name);
      const isGone = await record.remove(key, size);
      await record.step(step, key);
      return isGone;
    },
    sent: async (step, key) => record.step(step, key),
    wrote: (bytes) => {
      record.counts.writtenBytes += bytes;
    },
    condemnedNow: async () => {
      return new SlotUnion(lists.slots, await lists.readLater(opening.signal));
    },
  };
}
