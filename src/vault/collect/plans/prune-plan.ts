import { MapNodes } from '../../maps/map-tree.ts';
import type { Packs } from '../../packs/packs.ts';
import type { PackFooter } from '../../packs/pack-layout.ts';
import { pointKey } from '../../format/object-names.ts';
import type { PointName } from '../../points/retirements.ts';
import { ulidTimeMs } from '../../bytes/ulid.ts';
import type { Running } from '../../../kernel/progress.ts';
import {
  collectRules,
  markingBytes,
  type CollectOptions,
  type CollectParts,
  type CollectRules,
} from '../collect-options.ts';
import { ProvenPoints } from '../roots/proven-points.ts';
import { believe, type Belief } from '../roots/believing.ts';
import { CondemnedLists } from '../slots/condemned-lists.ts';
import { openListed, type Opening } from '../rewriting/opening.ts';
import {
  listPacks,
  totalSize,
  type ListedPack,
  type PackListing,
} from '../rewriting/pack-listing.ts';
import { measurePoints } from './point-usage.ts';
import { ALL_PACKS } from '../slots/live-slots.ts';
import type { Marking } from '../roots/marking.ts';
import { RewriteAllowance } from '../rewriting/rewrite-allowance.ts';
import { storedBytesOf } from '../rewriting/stored-bytes.ts';
import { RootMarking, type MarkedRoots } from '../roots/root-marking.ts';

/** What a collection would do now. Planning writes nothing. */
export interface PrunePlan {
  /** Points that would be given up. */
  readonly points: readonly PlannedPoint[];
  /** How many points count, and how many VMs they belong to. */
  readonly standingPoints: number;
  readonly vms: number;
  /** When something can be removed; `CollectReport` says why not before. */
  readonly waitsUntilMs?: number | 'never';
  /** Packs in which nothing is needed, and those that would be rewritten. */
  readonly removedPacks: number;
  readonly compactedPacks: number;
  readonly deadSlots: number;
  /** Bytes of the objects that go, and of those written in their place. Estimates. */
  readonly removedBytes: number;
  readonly writtenBytes: number;
  /** Bytes of the packs that are read to be rewritten. */
  readonly readBytes: number;
  /** Bytes that nothing needs and that stay, because their packs are young or mostly needed. */
  readonly deadBytesLeft: number;
  /** The part of `deadBytesLeft` that goes once its packs are no longer young. */
  readonly youngBytes: number;
  /** Largest memory that marking took, and the number of shares it needed. */
  readonly markingBytes: number;
  readonly shares: number;
  /** Estimate, without the requests of marking. */
  readonly requests: { readonly get: number; readonly put: number; readonly remove: number };
}

export interface PlannedPoint extends PointName {
  /** What no other point needs, if this plan gives the point up. */
  readonly exclusiveBytes?: number;
}

const GET_BYTES = 2 * 1024 * 1024;

/**
 * @param retire points to treat as retired, besides those that are
 * @throws Fault `vault.collect-unsure`, `vault.list-incomplete`, `vault.points-missing`,
 *   `vault.collect-unproven`
 */
export async function planPrune(
  parts: CollectParts,
  retire: readonly PointName[],
  options: CollectOptions,
  running: Running,
): Promise<PrunePlan> {
  const nodes = MapNodes.forWalk(parts);
  const listing = await listPacks(parts.base.store, running.signal);
  const exclusive = await exclusiveBytes(parts, retire, running);
  const { signal } = running;
  // Giving points up removes nothing yet, so the estimate needs no proof of the lists.
  const proven = retire.length > 0 ? undefined : new ProvenPoints(parts, options, signal);
  const roots = new RootMarking(parts, nodes, running, {
    without: retire,
    ...(proven && { proven }),
  });
  const condemned = new CondemnedLists(parts.base);
  const planning = new Planning(parts, nodes.packs, options, running);
  const bytesMax = markingBytes(options, listing.totalBytes);
  let dead: MarkedRoots['dead'] = [];
  let belief: Belief = { standingPoints: 0, vms: 0 };
  for (let from = ALL_PACKS.from; from < ALL_PACKS.to;) {
    const marked = await roots.mark({ rules: { from, bytesMax } });
    belief = await believe({
      ...{ parts, nodes, packs: listing, marked, signal, options, proven },
      youngMs: collectRules(options, parts.format.packBytes).youngMs,
      condemned: async () => {
        await condemned.read(signal);
        return condemned.slots;
      },
    });
    await planning.share(listing, marked.marking);
    from = marked.marking.live.share.to;
    dead = marked.dead;
  }
  const { plan } = planning;
  plan.requests.put += plan.deadSlots > 0 ? 2 : 0;
  plan.removedBytes += dead.reduce((sum, { bytes }) => sum + bytes, 0);
  plan.requests.remove += dead.reduce((sum, { isSealed }) => sum + (isSealed ? 2 : 1), 0);
  return {
    ...plan,
    ...belief,
    points: dead.map(({ vmId, id }) => {
      const bytes = exclusive.get(pointKey(vmId, id));
      return { vmId, id, ...(bytes === undefined ? {} : { exclusiveBytes: bytes }) };
    }),
  };
}

/** Adds up what a collection would do with each pack. */
class Planning {
  readonly #packs: Packs;
  readonly #rules: CollectRules;
  readonly #youngFromMs: number;
  readonly #running: Running;
  readonly #allowance: RewriteAllowance;
  readonly plan = {
    removedPacks: 0,
    compactedPacks: 0,
    deadSlots: 0,
    removedBytes: 0,
    writtenBytes: 0,
    readBytes: 0,
    deadBytesLeft: 0,
    youngBytes: 0,
    markingBytes: 0,
    shares: 0,
    requests: { get: 0, put: 0, remove: 0 },
  };

  constructor(
    { format, clock }: CollectParts,
    packs: Packs,
    options: CollectOptions,
    running: Running,
  ) {
    this.#packs = packs;
    this.#rules = collectRules(options, format.packBytes);
    this.#youngFromMs = clock.nowMs() - this.#rules.youngMs;
    this.#allowance = new RewriteAllowance(this.#rules.rewriteBytes);
    this.#running = running;
  }

  /** Adds the packs that this marking covers. */
  async share(listing: PackListing, { live, bytes }: Marking): Promise<void> {
    this.plan.shares += 1;
    this.plan.markingBytes = Math.max(this.plan.markingBytes, bytes);
    for (const pack of listing.values()) {
      if (!live.isInShare(pack.ulid)) {
        continue;
      }
      const handle = live.handle(pack.ulid);
      if (!live.isFull(handle)) {
        await this.#pack(pack, (slot) => live.has(handle, slot));
      }
    }
  }

  async #pack(pack: ListedPack, isLive: (slot: number) => boolean): Promise<void> {
    const { plan } = this;
    const dead = await deadShare(this.#packs, pack, this.#running, isLive);
    const { share, deadSlots } = dead;
    const size = totalSize(pack.objects);
    const deadBytes = share === 1 ? size : Math.round(dead.bytes);
    if (ulidTimeMs(pack.ulid) > this.#youngFromMs) {
      plan.deadBytesLeft += deadBytes;
      plan.youngBytes += 1 - share < this.#rules.liveShare ? deadBytes : 0;
      return;
    }
    plan.deadSlots += deadSlots;
    if (share === 1) {
      plan.removedPacks += 1;
      plan.removedBytes += size;
      plan.requests.remove += pack.objects.length;
    } else if (1 - share < this.#rules.liveShare && this.#allowance.take(size)) {
      plan.compactedPacks += 1;
      plan.removedBytes += size;
      plan.readBytes += size;
      plan.writtenBytes += size - deadBytes;
      plan.requests.get += 2 + Math.ceil(size / GET_BYTES);
      plan.requests.put += 1;
      plan.requests.remove += pack.objects.length;
    } else {
      plan.deadBytesLeft += deadBytes;
    }
  }
}

/** Returns the exclusive bytes by point key; empty if no point is to be given up. */
async function exclusiveBytes(
  parts: CollectParts,
  retire: readonly PointName[],
  running: Running,
): Promise<Map<string, number>> {
  const { points } = retire.length > 0 ? await measurePoints(parts, running) : { points: [] };
  return new Map(points.map((usage) => [pointKey(usage.vmId, usage.id), usage.exclusiveBytes]));
}

async function deadShare(
  packs: Packs,
  pack: ListedPack,
  { signal }: Running,
  isLive: (slot: number) => boolean,
): Promise<{ share: number; deadSlots: number; bytes: number }> {
  const opening: Opening = { packs, damaged: () => undefined, signal };
  let footer: PackFooter | undefined;
  for (const object of pack.objects) {
    footer = (await openListed(opening, object))?.footer ?? footer;
  }
  if (footer === undefined) {
    return { share: 0, deadSlots: 0, bytes: 0 };
  }
  let all = 0;
  let dead = 0;
  let deadSlots = 0;
  for (let slot = 0; slot < footer.slots; slot++) {
    const size = footer.size(slot);
    all += size;
    if (size > 0 && !isLive(slot)) {
      dead += size;
      deadSlots += 1;
    }
  }
  const bytes = storedBytesOf(footer, (slot) => !isLive(slot));
  return { share: all === 0 ? 0 : dead / all, deadSlots, bytes };
}
