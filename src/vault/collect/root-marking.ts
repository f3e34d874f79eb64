import { Fault, isFault } from '../../kernel/fault.ts';
import { pointKey } from '../layout.ts';
import type { MapNodes } from '../map-tree.ts';
import type { PointDocument } from '../point-object.ts';
import type { PointName } from '../retirements.ts';
import type { Running } from '../vault-options.ts';
import type { CollectParts } from './collect-options.ts';
import { Holds } from './holds.ts';
import { Marking, type MarkingRules } from './marking.ts';
import { listPoints, readRoot, type ListedPoint, type PointListing } from './root-points.ts';

/** What all points that count need, as of one listing. */
export interface MarkedRoots {
  readonly marking: Marking;
  readonly roots: readonly ListedPoint[];
  readonly dead: readonly ListedPoint[];
  /** Points whose maps were walked. */
  readonly walked: ReadonlySet<string>;
  /** Aliases that the marking knows. */
  readonly aliases: number;
}

type GiveUp = (point: ListedPoint) => Promise<boolean>;

export interface RootMarkingOptions {
  /** What was marked before: then only maps of new points are walked. */
  readonly before?: MarkedRoots;
  /**
   * For a point without a seal that cannot be read: true if it is retired now. Its writer died when
   * a conflict took its slots, and would keep every collection from its work.
   */
  readonly giveUp?: GiveUp;
  /** How much is marked, unless it goes on with what was marked before. */
  readonly rules?: MarkingRules;
}

/** Points can go while their maps are read; more often than this in a row is no chance. */
const BEGINNINGS_MAX = 10;

/** Lists the points and marks what they need. */
export class RootMarking {
  readonly #parts: CollectParts;
  readonly #nodes: MapNodes;
  readonly #running: Running;
  readonly #holds: Holds;
  /** Points that are taken as retired: to find out what retiring them would free. */
  readonly #without: ReadonlySet<string>;

  constructor(
    parts: CollectParts,
    nodes: MapNodes,
    running: Running,
    without: readonly PointName[] = [],
  ) {
    this.#parts = parts;
    this.#nodes = nodes;
    this.#running = running;
    this.#holds = new Holds(parts.base, parts.log);
    this.#without = new Set(without.map(({ vmId, id }) => pointKey(vmId, id)));
  }

  async list(): Promise<PointListing> {
    const { roots, dead } = await listPoints(this.#parts, this.#holds, this.#running.signal);
    const isWithout = ({ vmId, id }: PointName): boolean => this.#without.has(pointKey(vmId, id));
    return {
      roots: roots.filter((point) => !isWithout(point)),
      dead: [...dead, ...roots.filter(isWithout)],
    };
  }

  async isHeld({ vmId, id }: PointName): Promise<boolean> {
    const holds = await this.#holds.list(this.#running.signal);
    return holds.some((hold) => hold.vmId === vmId && hold.id === id);
  }

  /**
   * G0, and with what it found G2: then only maps of new points are walked, unless aliases have appeared that change
   * what a slot is.
   *
   * A point that was listed and cannot be read never counts as needing nothing: a child that inherits from it may
   * have come after the listing. If it is retired by now all begins again; if not, the collection ends.
   * @throws Fault `vault.collect-unsure`, `vault.format-newer`
   */
  async mark(options: RootMarkingOptions = {}): Promise<MarkedRoots> {
    const { before, ...others } = options;
    let start = before;
    for (let beginning = 0; beginning < BEGINNINGS_MAX; beginning++) {
      const marked = await this.#markOnce(start, others);
      if (marked !== undefined) {
        return marked;
      }
      // What was visited of a map that could not be read to its end counts as visited wrongly.
      start = undefined;
    }
    throw unsure('points are retired faster than their maps can be read', undefined);
  }

  /** @returns undefined if a point went in the middle */
  async #markOnce(
    before: MarkedRoots | undefined,
    { giveUp = async () => false, rules }: RootMarkingOptions,
  ): Promise<MarkedRoots | undefined> {
    const { signal } = this.#running;
    const { roots, dead } = await this.list();
    const { aliases } = this.#nodes.packs;
    await aliases.read(signal);
    const [unreadable] = aliases.ignored;
    if (unreadable !== undefined) {
      throw unsure(`the alias object ${unreadable} is damaged`, undefined);
    }
    const isSame = before?.aliases === aliases.count;
    const marking = isSame ? before.marking : new Marking(this.#nodes, aliases, signal, rules);
    const walked = new Set(isSame ? before.walked : []);
    const count = aliases.count;
    for (const [index, root] of roots.entries()) {
      const key = pointKey(root.vmId, root.id);
      if (!walked.has(key)) {
        if (!(await this.#walk(marking, root, giveUp))) {
          return undefined;
        }
        walked.add(key);
      }
      const doneBytes = index + 1;
      const totalBytes = roots.length;
      this.#running.report?.({ phase: 'marking', doneBytes, totalBytes, counted: 'points' });
    }
    return { marking, roots, dead, walked, aliases: count };
  }

  /** @returns false if the point is retired by now and could not be read */
  async #walk(marking: Marking, root: ListedPoint, giveUp: GiveUp): Promise<boolean> {
    const { points } = this.#parts;
    const { signal } = this.#running;
    let document: PointDocument | undefined;
    try {
      document = await readRoot(this.#parts, root, signal);
      if (document !== undefined) {
        await marking.point(document);
        return true;
      }
    } catch (error) {
      if (!isFault(error) || error.kind !== 'integrity') {
        throw error;
      }
      if ((await points.isRetired(root, signal)) || (!root.isSealed && (await giveUp(root)))) {
        return false;
      }
      throw unsure(`the recovery point ${root.id} cannot be read`, error);
    }
    if (await points.isRetired(root, signal)) {
      return false;
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
