import { newUlid } from '../bytes/ulid.ts';
import { isLongOver, pointsBeingRead } from './lease-terms.ts';
import type { FoundRecord } from './service-records.ts';

const HOUR = 3_600_000;
const NOW = 1_800_000_000_000;
const POINT = newUlid(1);

interface Lease {
  readonly number?: number;
  readonly lease?: string;
  readonly atMs?: number;
  readonly untilMs?: number;
  readonly storedAtMs?: number;
}

const LEASE = newUlid(2);

function found({ number = 1, lease = LEASE, storedAtMs, ...times }: Lease): FoundRecord {
  const { atMs = NOW, untilMs = atMs + HOUR } = times;
  const points = [{ vm: 'vm', point: POINT }];
  const body = { service: 'a', sequence: number, atMs, lease, reader: 'me', untilMs, points };
  return {
    name: { key: `cat/a/${String(number)}`, service: 'a', number },
    record: { kind: 'reading', ...body },
    storedAtMs,
  };
}

function until(...leases: Lease[]): number | undefined {
  return pointsBeingRead(leases.map(found), NOW)[0]?.untilMs;
}

describe('a reading lease', () => {
  it('is in force for an hour from when it was written, and no longer', () => {
    expect(until({})).toBe(NOW + HOUR);
    expect(until({ atMs: NOW - HOUR + 1 })).toBe(NOW + 1);
    expect(until({ atMs: NOW - HOUR })).toBeUndefined();
  });

  it('lasts an hour at most, whatever it says', () => {
    expect(until({ untilMs: NOW + 1000 * HOUR })).toBe(NOW + HOUR);
    expect(until({ atMs: 0, untilMs: NOW + HOUR })).toBeUndefined();
  });

  it('ends where its newest object says so', () => {
    const renewed = { number: 2, atMs: NOW };
    expect(until({ atMs: NOW - HOUR }, renewed)).toBe(NOW + HOUR);
    expect(until(renewed, { number: 3, untilMs: NOW })).toBeUndefined();
    expect(until(renewed, { number: 3, untilMs: NOW, lease: newUlid(3) })).toBe(NOW + HOUR);
  });

  it('has the age that the store says, by whatever clock it was written', () => {
    const ahead = NOW + 10_000 * HOUR;
    expect(until({ atMs: ahead, storedAtMs: NOW })).toBe(NOW + HOUR);
    expect(until({ atMs: ahead, storedAtMs: NOW - HOUR })).toBeUndefined();
    expect(until({ atMs: 5, storedAtMs: NOW })).toBe(NOW + HOUR);
  });

  it('from the future is not in force where only it says when it was written', () => {
    expect(until({ atMs: NOW + HOUR })).toBe(NOW + 2 * HOUR);
    expect(until({ atMs: NOW + HOUR + 1 })).toBeUndefined();
  });

  it('is swept a day after it was written', () => {
    expect(isLongOver(found({ atMs: NOW - 24 * HOUR }), NOW)).toBe(false);
    expect(isLongOver(found({ atMs: NOW - 24 * HOUR - 1 }), NOW)).toBe(true);
    expect(isLongOver(found({ atMs: 0, storedAtMs: NOW }), NOW)).toBe(false);
  });
});
