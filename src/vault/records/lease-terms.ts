import type { Ulid } from '../bytes/ulid.ts';
import type { FoundRecord } from './service-records.ts';

/** docs/service-records.md, "Reading lease". */
const HOUR_MS = 3_600_000;
/** How long a lease is valid beyond its last renewal, whatever it says. */
export const LEASE_MS = HOUR_MS;
export const LEASE_RENEWAL_MS = 5 * 60_000;
/** Where only the writer says when it wrote: its clock may be ahead by so much. */
const AHEAD_MS = HOUR_MS;

/** A point that somebody reads now. */
export interface BeingRead {
  readonly vmId: string;
  readonly id: Ulid;
  readonly service: string;
  /** For people. */
  readonly reader: string;
  /** By the clock of this machine or of the store. */
  readonly untilMs: number;
}

/** Until when a lease is valid, however often it is asked; undefined if it never was. */
function validUntilMs(found: FoundRecord, nowMs: number): number | undefined {
  const { record, storedAtMs } = found;
  if (record.kind !== 'reading') {
    return undefined;
  }
  const { atMs, untilMs } = record;
  if (storedAtMs === undefined && atMs > nowMs + AHEAD_MS) {
    return undefined;
  }
  return (storedAtMs ?? atMs) + Math.min(LEASE_MS, Math.max(0, untilMs - atMs));
}

/** Returns the points under a lease that is in force, by the newest object of each lease. */
export function pointsBeingRead(found: readonly FoundRecord[], nowMs: number): BeingRead[] {
  const newest = new Map<string, FoundRecord>();
  for (const one of found) {
    if (one.record.kind === 'reading') {
      const key = `${one.name.service}/${one.record.lease}`;
      const other = newest.get(key);
      if (other === undefined || one.name.number >= other.name.number) {
        newest.set(key, one);
      }
    }
  }
  return [...newest.values()].flatMap((one) => {
    const untilMs = validUntilMs(one, nowMs);
    const { record } = one;
    if (record.kind !== 'reading' || untilMs === undefined || untilMs <= nowMs) {
      return [];
    }
    const { service, reader } = record;
    return record.points.map(({ vm, point }) => ({
      vmId: vm,
      id: point,
      service,
      reader,
      untilMs,
    }));
  });
}

/** True if it ended so long ago that its object means nothing to anybody. */
export function isLongOver(found: FoundRecord, nowMs: number): boolean {
  const { record, storedAtMs } = found;
  return record.kind === 'reading' && (storedAtMs ?? record.atMs) < nowMs - 24 * HOUR_MS;
}
