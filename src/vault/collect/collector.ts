import { setTimeout as pause } from 'node:timers/promises';
import { MapNodes } from '../maps/map-tree.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { PointName } from '../points/retirements.ts';
import type { Ulid } from '../bytes/ulid.ts';
import { ReadingLeases } from '../records/reading-leases.ts';
import type { Running } from '../../kernel/progress.ts';
import { collectRules, markingBytes, refuseUncollectable } from './collect-options.ts';
import type { CollectOptions, CollectReport, CollectRules } from './collect-options.ts';
import type { RemovingParts } from './collect-options.ts';
import { ProvenPoints } from './roots/proven-points.ts';
import { giveUpAbandoned, giveUpUnreadable } from './roots/abandoned.ts';
import { believe, type Belief } from './roots/believing.ts';
import { CollectRecord } from './collect-record.ts';
import { CondemnedLists } from './slots/condemned-lists.ts';
import { DeadSlots } from './slots/dead-slots.ts';
import { findFresh } from './slots/fresh-condemned.ts';
import { ALL_PACKS } from './slots/live-slots.ts';
import { footersOf } from './rewriting/opening.ts';
import { listPacks, type PackListing } from './rewriting/pack-listing.ts';
import { PackTidier, type TidierParts } from './rewriting/pack-tidier.ts';
import { RewriteAllowance } from './rewriting/rewrite-allowance.ts';
import type { MarkingRules } from './roots/marking.ts';
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
  readonly #lists: CondemnedLists;
  readonly #roots: RootMarking;
  readonly #record: CollectRecord;
  readonly #proven: ProvenPoints;
  readonly #nodes: MapNodes;
  readonly #tidying: TidierParts;
  readonly #condemnedLists: ObjectKey[] = [];
  /** Retired points, and lists to carry out, as they were at the first share. */
  #retired: ReadonlySet<Ulid> | undefined;
  #open: readonly ObjectKey[] | undefined;
  #belief: Belief = { standingPoints: 0, vms: 0 };

  constructor(parts: RemovingParts, options: CollectOptions, running: Running) {
    const { base, format } = parts;
    const nodes = MapNodes.forWalk(parts);
    this.#parts = parts;
    this.#options = options;
    this.#record = new CollectRecord(parts, options, running);
    this.#rules = collectRules(options, format.packBytes);
    this.#running = running;
    this.#lists = new CondemnedLists(base);
    this.#nodes = nodes;
    this.#proven = new ProvenPoints(parts, options, running.signal);
    this.#roots = new RootMarking(parts, nodes, running, { proven: this.#proven });
    this.#tidying = {
      ...{ vault: parts, lists: this.#lists, record: this.#record, running },
      opening: {
        packs: nodes.packs,
        damaged: (key) => this.#record.damaged.add(key),
        signal: running.signal,
      },
      rules: this.#rules,
      allowance: new RewriteAllowance(this.#rules.rewriteBytes),
    };
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
    await new ReadingLeases(this.#parts).sweep(signal);
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
    const share = { from, bytesMax: markingBytes(this.#options, packs.totalBytes) };
    const before = await this.#mark(share);
    if (!(await this.#believes(packs, before))) {
      return ALL_PACKS.to;
    }
    this.#retired ??= new Set(before.dead.map(({ id }) => id));
    await this.#record.step('marked');
    await this.#condemn(packs, before);
    await this.#waitForReaders();
    // Only what was condemned by now may be removed: G2 begins here.
    const { slots: condemned } = this.#lists;
    const { changes } = condemned;
    this.#open ??= [...this.#lists.open];
    const now = await this.#mark(share, before);
    await this.#record.step('relisted');
    await this.#remove(packs, now, new DeadSlots(condemned, changes, now.marking));
    return now.marking.live.share.to;
  }

  /** G0.b to G0.g, and the same again as G2.a. */
  async #mark(rules: MarkingRules, before?: MarkedRoots): Promise<MarkedRoots> {
    const giveUp = async (point: PointName): Promise<boolean> =>
      giveUpUnreadable(this.#parts, point, this.#running.signal);
    return this.#roots.mark({ ...(before === undefined ? {} : { before }), giveUp, rules });
  }

  /** @returns false if nothing may be removed yet: this machine must know the points for longer */
  async #believes(packs: PackListing, marked: MarkedRoots): Promise<boolean> {
    const { signal } = this.#running;
    this.#belief = await believe({
      ...{ parts: this.#parts, nodes: this.#nodes, packs, marked, signal },
      ...{ options: this.#options, proven: this.#proven, youngMs: this.#rules.youngMs },
      condemned: async () => this.#lists.slots,
    });
    return this.#belief.waitsUntilMs === undefined;
  }

  /** G1.a. */
  async #condemn(packs: PackListing, { marking }: MarkedRoots): Promise<void> {
    const { opening, allowance } = this.#tidying;
    const parts = findFresh({
      packs,
      marking,
      condemned: this.#lists.slots,
      youngFromMs: this.#parts.clock.nowMs() - this.#rules.youngMs,
      rules: this.#rules,
      allowance: allowance.forPlan(),
      footers: async (pack) => footersOf(opening, pack),
      left: (bytes) => {
        this.#record.counts.deadBytesLeft += bytes;
      },
    });
    for await (const part of parts) {
      this.#condemnedLists.push(await this.#lists.write(part, this.#running.signal));
    }
    await this.#record.step('condemned');
  }

  async #waitForReaders(): Promise<void> {
    const { graceMs } = this.#rules;
    if (graceMs > 0) {
      this.#running.report?.({ phase: 'waiting', doneBytes: 0, totalBytes: 0 });
      await (this.#options.wait ?? wait)(graceMs, this.#running.signal);
      await this.#record.step('waited');
    }
  }

  /** G3. */
  async #remove(
    packs: PackListing,
    { dead, marking }: MarkedRoots,
    slots: DeadSlots,
  ): Promise<void> {
    for (const key of marking.damaged) {
      this.#record.damaged.add(key);
    }
    const { live } = marking;
    if (live.share.to === ALL_PACKS.to) {
      // G3.a. In the last share everything that these points alone needed is condemned.
      for (const point of dead.filter(({ id }) => this.#retired?.has(id) === true)) {
        await this.#record.removePoint(point);
      }
    }
    const shared = [...packs.values()].filter(({ ulid }) => live.isInShare(ulid));
    await new PackTidier(this.#tidying, packs, slots).tidy(shared);
  }
}

async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal });
}
