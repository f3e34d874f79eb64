import { Fault } from '../../../kernel/fault.ts';
import type { CollectOptions, CollectParts } from '../collect-options.ts';
import type { Hold, Holds } from '../../points/holds.ts';
import { listPoints, type ListedPoint, type PointListing } from './root-points.ts';
import {
  parseHoldKey,
  parsePointKey,
  pointKey,
  PREFIXES,
  sealKey,
} from '../../format/object-names.ts';
import type { ObjectKey } from '../../store/object-store.ts';
import type { PointDocument } from '../../points/point-object.ts';
import type { PointName } from '../../points/retirements.ts';
import { ABSENCE } from './absence-rules.ts';
import { PointRecord, type Remembered } from './point-record.ts';

const NOTHING: Remembered = {
  points: new Set(),
  gone: new Set(),
  holds: new Set(),
  aliases: new Set(),
  sinceMs: undefined,
};

export interface AbsenceOptions extends Pick<
  CollectOptions,
  'gonePoints' | 'goneObjects' | 'knownPoints'
> {
  /** Points that are probably there: each one that is must be listed. */
  readonly likelyPoints?: readonly PointName[];
}

/**
 * Points as lists show them, proven by signs that do not come from the same list, because points
 * that a list leaves out would lose their data. docs/decisions/0072 says which signs, and why.
 */
export class ProvenPoints {
  readonly #parts: CollectParts;
  readonly #options: AbsenceOptions;
  readonly #signal: AbortSignal;
  readonly #record: PointRecord | undefined;
  #remembered: Remembered | undefined;
  /** Keys of points that somebody declared gone. */
  readonly #declared = new Set<ObjectKey>();

  constructor(parts: CollectParts, options: AbsenceOptions, signal: AbortSignal) {
    this.#parts = parts;
    this.#options = options;
    this.#signal = signal;
    const folder = parts.cache?.folder;
    this.#record = folder && new PointRecord(folder.path, parts.log, folder);
  }

  /**
   * @param before points that an earlier list of this collection showed
   * @throws Fault `vault.list-incomplete` if the store has a point that its list does not show,
   *   `vault.points-missing` if a point is gone and nobody gave it up
   */
  async list(holds: Holds, before: readonly PointName[] = []): Promise<PointListing> {
    const first = await this.#look(holds, before);
    if (first.unlisted.length === 0) {
      return first.listing;
    }
    // The second look lists points that were put during the first. A point that both miss was left
    // out.
    const second = await this.#look(holds, before);
    const firstKeys = new Set(first.unlisted.map(keyOf));
    const leftOut = second.unlisted.filter((point) => firstKeys.has(keyOf(point)));
    if (leftOut.length > 0) {
      throw incomplete(leftOut);
    }
    const found = new Set(second.unlisted.map(keyOf));
    return {
      ...second.listing,
      roots: [...second.listing.roots, ...second.unlisted],
      dead: second.listing.dead.filter((point) => !found.has(keyOf(point))),
    };
  }

  /**
   * Proves that each parent that a point names is there or was given up: writers build on no other.
   * @throws Fault `vault.list-incomplete`, `vault.points-missing`
   */
  async proveParents(
    documents: readonly Pick<PointDocument, 'vmId' | 'parent'>[],
    listing: PointListing,
  ): Promise<void> {
    const parents = documents.flatMap(({ vmId, parent }) =>
      parent === undefined ? [] : [{ vmId, id: parent.id }],
    );
    const there = await this.#sought(parents, listing);
    if (there.length > 0) {
      throw incomplete(there);
    }
  }

  /**
   * Proves that each alias that this machine knows is there, because nobody removes aliases.
   * @throws Fault `vault.list-incomplete` if a list leaves one out, `vault.objects-missing` if it
   *   is gone
   */
  async proveAliases(keys: ReadonlySet<ObjectKey>): Promise<void> {
    const { aliases } = await this.#memory();
    const unlisted = [...aliases].filter((key) => !keys.has(key));
    const gone: ObjectKey[] = [];
    for (const key of unlisted) {
      if (!(await this.#isThere(key))) {
        gone.push(key);
      }
    }
    if (gone.length < unlisted.length) {
      throw new Fault(
        'vault.list-incomplete',
        `Nothing was removed: the list of alias/ leaves out what is there: ${keysShown(unlisted)}.`,
        { keys: unlisted.join(' ') },
      );
    }
    this.#requireDeclared(gone);
  }

  /** Since when this machine has known the points; undefined the first time. */
  async knownSinceMs(): Promise<number | undefined> {
    return (await this.#memory()).sinceMs;
  }

  /**
   * Remembers what a whole listing showed. Losing this is safe.
   * @returns since when this machine has known the points; undefined if it cannot remember
   */
  async remember(
    { roots, dead, holds }: PointListing,
    aliases: ReadonlySet<ObjectKey>,
  ): Promise<number | undefined> {
    const before = await this.#memory();
    const sinceMs = before.sinceMs ?? this.#parts.clock.nowMs();
    const known = {
      points: new Set([...roots, ...dead].map(keyOf)),
      gone: new Set([...before.gone, ...this.#declared]),
      holds: new Set(holds.map(({ key }) => key)),
      aliases: new Set(aliases),
      sinceMs,
    };
    const isKept = (await this.#record?.write(known)) === true;
    this.#remembered = known;
    return isKept ? sinceMs : undefined;
  }

  async #memory(): Promise<Remembered> {
    this.#remembered ??= (await this.#record?.read()) ?? NOTHING;
    return this.#remembered;
  }

  /** @returns a listing, and points that are there and that it does not show */
  async #look(
    holds: Holds,
    before: readonly PointName[],
  ): Promise<{ listing: PointListing; unlisted: ListedPoint[] }> {
    const remembered = await this.#memory();
    const listing = await listPoints(this.#parts, holds, this.#signal);
    const held = await this.#heldAllTheSame(holds, listing);
    const known = [...remembered.points].map(nameOf).filter((name) => name !== undefined);
    const named = [
      ...listing.strays,
      ...listing.holds,
      ...known,
      ...before,
      ...(this.#options.knownPoints ?? []),
    ];
    const vms = new Set(
      [...named, ...listing.retired, ...listing.roots, ...listing.dead].map(({ vmId }) => vmId),
    );
    for (const vmId of vms) {
      named.push(...(await this.#ofVm(vmId)));
    }
    const likely = this.#options.likelyPoints ?? [];
    const there = [
      ...(await this.#sought(named, listing)),
      ...(await this.#sought(likely, listing, 'or-absent')),
    ];
    return { listing, unlisted: [...there, ...held] };
  }

  /** Returns points that look given up only because no list shows the hold on them. */
  async #heldAllTheSame(holds: Holds, listing: PointListing): Promise<ListedPoint[]> {
    const dead = new Map(listing.dead.map((point) => [keyOf(point), point]));
    const found: (Hold | undefined)[] = [];
    const gone: ObjectKey[] = [];
    for (const key of (await this.#memory()).holds) {
      const hold = await holds.inForce(key, this.#signal);
      const name = hold ?? parseHoldKey(key);
      if (hold === undefined && name !== undefined && dead.has(keyOf(name))) {
        // A hold that was ended stays, beside the object that ends it.
        gone.push(...((await this.#isThere(key)) ? [] : [key]));
      }
      found.push(hold);
    }
    this.#requireDeclared(gone);
    for (const vmId of new Set(listing.dead.map((point) => point.vmId))) {
      found.push(...(await holds.list(this.#signal, vmId)));
    }
    const held = new Set(found.map((hold) => (hold === undefined ? undefined : keyOf(hold))));
    return [...dead].filter(([key]) => held.has(key)).map(([, point]) => point);
  }

  async #isThere(key: ObjectKey): Promise<boolean> {
    const range = { offset: 0, length: 1 };
    return (await this.#parts.base.store.getRange(key, range, this.#signal)) !== undefined;
  }

  /** @throws Fault `vault.objects-missing` */
  #requireDeclared(gone: readonly ObjectKey[]): void {
    const declared = new Set(this.#options.goneObjects ?? []);
    const missing = gone.filter((key) => !declared.has(key));
    if (missing.length > 0) {
      throw objectsMissing(missing);
    }
  }

  /** Lists the points of one VM: a list with another prefix. */
  async #ofVm(vmId: string): Promise<PointName[]> {
    const names = [];
    const prefix = `${PREFIXES.points}${vmId}/`;
    for await (const { key } of this.#parts.base.store.list(prefix, this.#signal)) {
      const name = nameOf(key);
      if (name !== undefined) {
        names.push(name);
      }
    }
    return names;
  }

  /**
   * Asks the store by key for each of these that is not listed.
   * @throws Fault `vault.points-missing` if one is not there and was not given up
   */
  async #sought(
    named: readonly PointName[],
    { roots, dead, retired, holds }: PointListing,
    orAbsent?: 'or-absent',
  ): Promise<ListedPoint[]> {
    const listed = new Set([...roots, ...dead].map(keyOf));
    const held = new Set(holds.map(keyOf));
    const givenUp = new Set(retired.map(keyOf).filter((key) => !held.has(key)));
    const wanted = new Map(named.map(({ vmId, id }) => [pointKey(vmId, id), { vmId, id }]));
    const there: ListedPoint[] = [];
    const missing: PointName[] = [];
    for (const [key, name] of wanted) {
      if (listed.has(key) || givenUp.has(key)) {
        continue;
      }
      const point = await this.#asked(name);
      if (point !== undefined && (held.has(key) || !(await this.#isRetired(name)))) {
        there.push(point);
      } else if (point === undefined && orAbsent === undefined && !(await this.#isGone(name))) {
        missing.push(name);
      }
    }
    if (missing.length > 0) {
      throw pointsMissing(missing);
    }
    return there;
  }

  async #asked({ vmId, id }: PointName): Promise<ListedPoint | undefined> {
    const { store } = this.#parts.base;
    const range = { offset: 0, length: 1 };
    if (!(await this.#parts.points.exists({ vmId, id }, this.#signal))) {
      return undefined;
    }
    const seal = await store.getRange(sealKey(vmId, id), range, this.#signal);
    return { vmId, id, bytes: 0, isSealed: seal !== undefined };
  }

  async #isGone(name: PointName): Promise<boolean> {
    const key = keyOf(name);
    if ((this.#options.gonePoints ?? []).includes(name.id)) {
      this.#declared.add(key);
      return true;
    }
    return (await this.#memory()).gone.has(key) || (await this.#isRetired(name));
  }

  async #isRetired(name: PointName): Promise<boolean> {
    return this.#parts.points.isRetired(name, this.#signal);
  }
}

function keyOf({ vmId, id }: PointName): ObjectKey {
  return pointKey(vmId, id);
}

function nameOf(key: ObjectKey): PointName | undefined {
  const name = parsePointKey(key);
  return name === undefined ? undefined : { vmId: name.vmId, id: name.id };
}

/** Fault for a list that leaves out points which are there. */
export function incomplete(points: readonly PointName[]): Fault {
  return new Fault(
    'vault.list-incomplete',
    `Nothing was removed: the lists of the store leave out what is there: ${shown(points)}.`,
    { points: points.map(({ id }) => id).join(' ') },
  );
}

function pointsMissing(points: readonly PointName[]): Fault {
  const ids =
    points.length > ABSENCE.idsShown ? 'and all their ids' : points.map(({ id }) => id).join(' ');
  return new Fault(
    'vault.points-missing',
    `Nothing was removed: not in the vault, and given up by nobody: ${shown(points)}. If they are gone for good, say so: --these-points-are-gone ${ids}`,
    { points: points.map(({ id }) => id).join(' ') },
  );
}

function objectsMissing(keys: readonly ObjectKey[]): Fault {
  const names = keys.length > ABSENCE.idsShown ? 'and all their names' : keys.join(' ');
  return new Fault(
    'vault.objects-missing',
    `Nothing was removed: not in the vault any more, although this machine has read it and nobody removes such objects: ${keysShown(keys)}. Bring it back from a copy ("hyperkeep rescue repair --copy"). If it is gone for good, say so; what only it kept is removed then: --these-objects-are-gone ${names}`,
    { keys: keys.join(' ') },
  );
}

function keysShown(keys: readonly ObjectKey[]): string {
  const more = keys.length - ABSENCE.idsShown;
  return `${keys.slice(0, ABSENCE.idsShown).join(', ')}${more > 0 ? ` and ${String(more)} more` : ''}`;
}

function shown(points: readonly PointName[]): string {
  const ids = points.slice(0, ABSENCE.idsShown).map(({ vmId, id }) => `${id} (of ${vmId})`);
  const more = points.length - ids.length;
  return `${String(points.length)} recovery point${points.length === 1 ? '' : 's'}: ${ids.join(', ')}${more > 0 ? ` and ${String(more)} more` : ''}`;
}
