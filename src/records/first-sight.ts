import type { RecordedPoint } from '../catalog/collector-rows.ts';
import { parsePointKey, pointKey, PREFIXES } from '../vault/format/object-names.ts';
import type { PointName } from '../vault/points/retirements.ts';
import type { VaultInside } from '../vault/vault-inside.ts';
import { integrityOrThrow, isFault } from '../kernel/fault.ts';
import type { StoredPoint } from '../vault/points/point-store.ts';

interface Listed extends PointName {
  readonly storedMs: number | null;
}

export interface Look {
  readonly vaultId: string;
  readonly nowMs: number;
}

/**
 * Compares what the vault lists with what a collector saw before, and returns what its record is to
 * be. What the writers of points say counts for nothing but their names.
 */
export async function compareWithVault(
  inside: VaultInside,
  before: readonly RecordedPoint[],
  look: Look,
  signal: AbortSignal,
): Promise<{ readonly points: RecordedPoint[]; readonly standing: ReadonlySet<string> }> {
  const retired = new Set((await inside.points.retiredNames(signal)).map(keyOf));
  const listed = await listSealed(inside, signal);
  const known = new Map(before.map((point) => [recordKey(point), point]));
  const points: RecordedPoint[] = [];
  const standing = new Set<string>();
  for (const [key, name] of listed) {
    const recorded = known.get(key);
    if (retired.has(key)) {
      continue;
    }
    const now = await lookAt(inside, { name, recorded, look }, signal);
    if (now !== undefined) {
      points.push(now);
      standing.add(key);
    }
  }
  for (const [key, point] of known) {
    if (!standing.has(key)) {
      points.push(leftOut(point, retired.has(key), look));
    }
  }
  return { points, standing };
}

export function recordKey({ vmId, pointId }: Pick<RecordedPoint, 'vmId' | 'pointId'>): string {
  return pointKey(vmId, pointId);
}

/** A point that is not listed any more: given up by somebody, or in doubt. */
function leftOut(point: RecordedPoint, isRetired: boolean, { nowMs }: Look): RecordedPoint {
  return isRetired
    ? { ...point, givenUpMs: point.givenUpMs ?? nowMs, inDoubtMs: null }
    : { ...point, inDoubtMs: point.givenUpMs === null ? (point.inDoubtMs ?? nowMs) : null };
}

interface Sight {
  readonly name: Listed;
  readonly recorded: RecordedPoint | undefined;
  readonly look: Look;
}

/** @returns undefined for a point that was never seen whole: it counts for nothing */
async function lookAt(
  inside: VaultInside,
  { name, recorded, look }: Sight,
  signal: AbortSignal,
): Promise<RecordedPoint | undefined> {
  const { storedMs } = name;
  if (recorded !== undefined && isAsStored(recorded, storedMs)) {
    // A mark of an attempt that did not come to its end counts for the day, but the point stands.
    return recorded;
  }
  const stored = await loaded(inside, name, signal);
  if (recorded !== undefined) {
    // A writer that repeats a PUT, or a repair, puts the same bytes.
    return stored?.mac === recorded.mac
      ? { ...recorded, storedMs, inDoubtMs: null }
      : { ...recorded, inDoubtMs: recorded.inDoubtMs ?? look.nowMs };
  }
  return stored && firstSight(stored, name, look);
}

/** @returns undefined if the point or its seal is not whole */
async function loaded(
  inside: VaultInside,
  name: PointName,
  signal: AbortSignal,
): Promise<StoredPoint | undefined> {
  try {
    return await inside.points.load(name, signal);
  } catch (error) {
    if (!isFault(error, 'vault.point-not-found')) {
      integrityOrThrow(error);
    }
    return undefined;
  }
}

function firstSight(
  { mac, point: { origin } }: StoredPoint,
  { vmId, id, storedMs }: Listed,
  { vaultId, nowMs }: Look,
): RecordedPoint {
  return {
    vaultId,
    vmId,
    pointId: id,
    // Nobody can make the store say an earlier time than it took an object.
    sinceMs: Math.min(storedMs ?? nowMs, nowMs),
    storedMs,
    mac,
    originKind: origin?.kind ?? 'hand',
    originService: origin?.service ?? null,
    inDoubtMs: null,
    givenUpMs: null,
  };
}

/** Where the store says no times, every point is read each time. */
function isAsStored(recorded: RecordedPoint, storedMs: number | null): boolean {
  return recorded.inDoubtMs === null && storedMs !== null && storedMs === recorded.storedMs;
}

/** Lists sealed points, each with the later of the times at which the store took its objects. */
async function listSealed(
  { base }: VaultInside,
  signal: AbortSignal,
): Promise<Map<string, Listed>> {
  const times = new Map<string, { point?: number | null; seal?: number | null; name: PointName }>();
  for await (const { key, storedAtMs = null } of base.store.list(PREFIXES.points, signal)) {
    const name = parsePointKey(key);
    if (name !== undefined) {
      const both = times.get(keyOf(name)) ?? { name };
      times.set(keyOf(name), both);
      both[name.isSeal ? 'seal' : 'point'] = storedAtMs;
    }
  }
  const listed = new Map<string, Listed>();
  for (const [key, { point, seal, name }] of times) {
    if (point !== undefined && seal !== undefined) {
      const storedMs = point === null || seal === null ? null : Math.max(point, seal);
      listed.set(key, { vmId: name.vmId, id: name.id, storedMs });
    }
  }
  return listed;
}

function keyOf({ vmId, id }: PointName): string {
  return pointKey(vmId, id);
}
