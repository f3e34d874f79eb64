import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import { isFault } from '../../kernel/fault.ts';
import type { CollectParts } from '../collect/collect-options.ts';
import { listPoints } from '../collect/roots/root-points.ts';
import { Holds } from '../points/holds.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import type { PointName } from '../points/retirements.ts';
import { ReadingLeases } from '../records/reading-leases.ts';

const POINTS_AT_ONCE = 16;

/** The points of a vault as a listing shows them, made for one decision. */
export interface ListedVault {
  /** Sealed, whole and not given up. */
  readonly points: readonly RecoveryPoint[];
  /** Ids of the points that somebody holds. */
  readonly held: ReadonlySet<string>;
  /** By the ids of points that somebody reads now: who. */
  readonly readers: ReadonlyMap<string, string>;
  /** Ids of all points that were given up. */
  readonly retired: ReadonlySet<string>;
  /** Sealed and not given up, but not readable, or only its seal is left. */
  readonly damaged: readonly { readonly name: PointName; readonly why: string }[];
}

/** Lists `retire/`, `s/`, `hold/` and leases to their ends, and reads the points. */
export async function listVault(inside: CollectParts, signal: AbortSignal): Promise<ListedVault> {
  const { points, base, log } = inside;
  const listing = await listPoints(inside, new Holds(base, log), signal);
  const retired = new Set(listing.retired.map(({ id }) => id));
  // A point may have come during the listing: then only its seal was listed.
  const sealed = [...listing.roots.filter(({ isSealed }) => isSealed), ...listing.strays];
  const standing = sealed.filter(({ id }) => !retired.has(id));
  const read = await mapAtOnce(standing, POINTS_AT_ONCE, async ({ vmId, id }) => {
    try {
      return (await points.load({ vmId, id }, signal)).point;
    } catch (error) {
      if (!isFault(error) || (error.kind !== 'integrity' && error.kind !== 'not-found')) {
        throw error;
      }
      return { name: { vmId, id }, why: error.message };
    }
  });
  return {
    points: read.filter(isPoint),
    held: new Set(listing.holds.map(({ id }) => id)),
    readers: new Map(listing.beingRead.map(({ id, reader }) => [id, reader])),
    retired,
    damaged: read.flatMap((each) => (isPoint(each) ? [] : [each])),
  };
}

function isPoint(read: RecoveryPoint | ListedVault['damaged'][number]): read is RecoveryPoint {
  return 'takenAtMs' in read;
}

/** What stands of some points right before they are given up. */
export interface SecondLook {
  /** Why none of them is to be given up now; undefined if they may be. */
  readonly against: string | undefined;
}

/**
 * Looks once more at points that are to be given up together: by lists of their VMs, which have
 * other prefixes than those of all, and by the keys of the points.
 *
 * @param first what the decision was made on, and what was given up since because of it
 */
export async function lookAgain(
  inside: CollectParts,
  names: readonly PointName[],
  first: { readonly listed: ListedVault; readonly retired: ReadonlySet<string> },
  signal: AbortSignal,
): Promise<SecondLook> {
  const { points, base, clock, log } = inside;
  for (const vmId of new Set(names.map((name) => name.vmId))) {
    const retired = await points.retired(signal, vmId);
    const other = first.listed.points.find(
      (point) =>
        point.vmId === vmId &&
        retired.has(point.id) &&
        !first.retired.has(point.id) &&
        !names.some(({ id }) => id === point.id),
    );
    if (other !== undefined) {
      return { against: `the point ${other.id} of the same VM was given up meanwhile` };
    }
  }
  const holds = new Holds(base, log);
  for (const { vmId, id } of names) {
    if (!(await points.exists({ vmId, id }, signal))) {
      return { against: `the point ${id} is gone` };
    }
  }
  const readers = await new ReadingLeases({ base, clock, log }).list(signal);
  const reader = readers.find(({ id }) => names.some((name) => name.id === id));
  if (reader !== undefined) {
    return { against: `the point ${reader.id} is being read by ${reader.reader}` };
  }
  // Last: nothing is asked between this and the retirement.
  for (const vmId of new Set(names.map((name) => name.vmId))) {
    const held = await holds.list(signal, vmId);
    const hold = held.find(({ id }) => names.some((name) => name.id === id));
    if (hold !== undefined) {
      return { against: `the point ${hold.id} is held ("${hold.reason}")` };
    }
  }
  return { against: undefined };
}
