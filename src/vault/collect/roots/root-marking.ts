import { Fault, integrityOrThrow } from '../../../kernel/fault.ts';
import { pointKey } from '../../format/object-names.ts';
import type { MapNodes } from '../../maps/map-tree.ts';
import type { PointDocument } from '../../points/point-object.ts';
import type { PointName } from '../../points/retirements.ts';
import type { Running } from '../../../kernel/progress.ts';
import type { Aliases } from '../../packs/aliases.ts';
import type { ProvenPoints } from './proven-points.ts';
import type { ObjectKey } from '../../store/object-store.ts';
import type { CollectParts } from '../collect-options.ts';
import { Holds } from '../../points/holds.ts';
import { Marking, type MarkingRules } from './marking.ts';
import { listPoints, readRoot, type ListedPoint, type PointListing } from './root-points.ts';

/** What all points that count need, as of one listing. */
export interface MarkedRoots {
  readonly marking: Marking;
  readonly roots: readonly ListedPoint[];
  readonly dead: readonly ListedPoint[];
  readonly listing: PointListing;
  /** Points whose maps were walked. */
  readonly walked: ReadonlySet<string>;
  /** How many aliases the marking knows, and the keys of their objects. */
  readonly aliases: number;
  readonly aliasKeys: ReadonlySet<ObjectKey>;
}

export interface RootsOptions {
  /** Points to treat as retired, to find out what retiring them would free. */
  readonly without?: readonly PointName[];
  /** Set by a caller that is about to remove something: it has the lists proven. */
  readonly proven?: ProvenPoints;
}

type GiveUp = (point: ListedPoint) => Promise<boolean>;

export interface RootMarkingOptions {
  /** An earlier result: only maps of new points are walked then. */
  readonly before?: MarkedRoots;
  /**
   * Called with an unsealed point that cannot be read; returns true if it is retired now. Its
   * writer died when a conflict took its slots, and it would block every collection.
   */
  readonly giveUp?: GiveUp;
  /** How much to mark. Ignored if `before` is given. */
  readonly rules?: MarkingRules;
}

interface MarkOnceOptions extends Omit<RootMarkingOptions, 'before'> {
  /** Points that an earlier list showed. */
  readonly known: readonly PointName[] | undefined;
}

/** Points can vanish while their maps are read; more often than this in a row is no coincidence. */
const BEGINNINGS_MAX = 10;

/** Lists the points and marks what they need. */
export class RootMarking {
  readonly #parts: CollectParts;
  readonly #nodes: MapNodes;
  readonly #running: Running;
  readonly #holds: Holds;
  /** Points to treat as retired, to find out what retiring them would free. */
  readonly #without: ReadonlySet<string>;
  readonly #proven: ProvenPoints | undefined;

  constructor(
    parts: CollectParts,
    nodes: MapNodes,
    running: Running,
    { without = [], proven }: RootsOptions = {},
  ) {
    this.#parts = parts;
    this.#nodes = nodes;
    this.#running = running;
    this.#holds = new Holds(parts.base, parts.log);
    this.#proven = proven;
    this.#without = new Set(without.map(({ vmId, id }) => pointKey(vmId, id)));
  }

  /** Lists without proof: the caller must not remove anything because of it. */
  async list(): Promise<PointListing> {
    return listPoints(this.#parts, this.#holds, this.#running.signal);
  }

  async isHeld({ vmId, id }: PointName): Promise<boolean> {
    const holds = await this.#holds.list(this.#running.signal);
    return holds.some((hold) => hold.vmId === vmId && hold.id === id);
  }

  /**
   * Does G0, and G2 if given what G0 found: then it walks only maps of new points, unless aliases
   * have appeared that change what a slot is.
   *
   * G0.e, G0.f: a listed point that cannot be read never counts as needing nothing: a child that
   * inherits from it may have come after the listing. If it is retired by now, marking starts
   * again; if not, the collection ends.
   * @throws Fault `vault.collect-unsure`, `vault.format-newer`
   */
  async mark(options: RootMarkingOptions = {}): Promise<MarkedRoots> {
    const { before, ...others } = options;
    let start = before;
    for (let beginning = 0; beginning < BEGINNINGS_MAX; beginning++) {
      const marked = await this.#markOnce(start, { ...others, known: before?.listing.roots });
      if (marked !== undefined) {
        return marked;
      }
      // Discards the marking: nodes of a map that could not be read to its end count as visited.
      start = undefined;
    }
    throw unsure('points are retired faster than their maps can be read', undefined);
  }

  /** @returns undefined if a point vanished meanwhile */
  async #markOnce(
    before: MarkedRoots | undefined,
    { giveUp = async () => false, rules, known }: MarkOnceOptions,
  ): Promise<MarkedRoots | undefined> {
    const { signal } = this.#running;
    const { listing, roots, dead } = await this.#listed(known);
    // G0.c: after the points.
    const aliases = await this.#aliases();
    const isSame = before?.aliases === aliases.count;
    const marking = isSame ? before.marking : new Marking(this.#nodes, aliases, signal, rules);
    const walked = new Set(isSame ? before.walked : []);
    const count = aliases.count;
    const documents: Pick<PointDocument, 'vmId' | 'parent'>[] = [];
    for (const [index, root] of roots.entries()) {
      const key = pointKey(root.vmId, root.id);
      if (!walked.has(key)) {
        const document = await this.#walk(marking, root, giveUp);
        if (document === undefined) {
          return undefined;
        }
        documents.push({ vmId: document.vmId, parent: document.parent });
        walked.add(key);
      }
      const doneBytes = index + 1;
      const totalBytes = roots.length;
      this.#running.report?.({ phase: 'marking', doneBytes, totalBytes, counted: 'points' });
    }
    await this.#proven?.proveParents(documents, listing);
    return { marking, roots, dead, listing, walked, aliases: count, aliasKeys: aliases.keys };
  }

  async #listed(
    known: readonly PointName[] | undefined,
  ): Promise<Pick<MarkedRoots, 'listing' | 'roots' | 'dead'>> {
    const listing = (await this.#proven?.list(this.#holds, known)) ?? (await this.list());
    const isWithout = ({ vmId, id }: PointName): boolean => this.#without.has(pointKey(vmId, id));
    return {
      listing,
      roots: listing.roots.filter((point) => !isWithout(point)),
      dead: [...listing.dead, ...listing.roots.filter(isWithout)],
    };
  }

  async #aliases(): Promise<Aliases> {
    const { aliases } = this.#nodes.packs;
    await aliases.read(this.#running.signal);
    await this.#proven?.proveAliases(aliases.keys);
    // G0.e.
    const [unreadable] = aliases.ignored;
    if (unreadable !== undefined) {
      throw unsure(`the alias object ${unreadable} is damaged`, undefined);
    }
    return aliases;
  }

  /** @returns undefined if the point could not be read and is retired by now */
  async #walk(
    marking: Marking,
    root: ListedPoint,
    giveUp: GiveUp,
  ): Promise<PointDocument | undefined> {
    const { points } = this.#parts;
    const { signal } = this.#running;
    let document: PointDocument | undefined;
    try {
      document = await readRoot(this.#parts, root, signal);
      if (document !== undefined) {
        await marking.point(document);
        return document;
      }
    } catch (error) {
      const fault = integrityOrThrow(error);
      if ((await points.isRetired(root, signal)) || (!root.isSealed && (await giveUp(root)))) {
        return undefined;
      }
      throw unsure(`the recovery point ${root.id} cannot be read`, fault);
    }
    if (await points.isRetired(root, signal)) {
      return undefined;
    }
    throw unsure(`the recovery point ${root.id} went without being retired`, undefined);
  }
}

function unsure(why: string, cause: Fault | undefined): Fault {
  const detail = cause === undefined ? '' : ` (${cause.message})`;
  return new Fault(
    'vault.collect-unsure',
    `Nothing was removed: ${why}, so what is still needed is not known${detail}. Verify the vault, repair or give up what is damaged, then collect again.`,
    cause === undefined ? {} : { code: cause.code },
    { cause },
  );
}
