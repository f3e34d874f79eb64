import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { newUlid } from '../vault/bytes/ulid.ts';
import type { ReaderIdentity } from '../vault/records/held-lease.ts';
import type { ServiceRecords } from '../vault/records/service-records.ts';

const SKEW_MS = 3_600_000;

/**
 * Asks the store what time it is, by an object that means nothing: a lease of no point that has
 * ended. A store that says no times leaves it to this host's clock.
 * @throws Fault `collector.clock-disagrees` if the two clocks differ by more than an hour
 */
export async function storeTime(
  records: ServiceRecords,
  { service, name: reader }: ReaderIdentity,
  clock: Clock,
  signal: AbortSignal,
): Promise<number> {
  const atMs = clock.nowMs();
  const ended = { kind: 'reading', atMs, lease: newUlid(atMs), reader, untilMs: atMs } as const;
  const written = await records.put(service, { ...ended, points: [] }, signal);
  const found = await records.read(signal, service);
  const storedAtMs = found.find(({ name }) => name.key === written.key)?.storedAtMs;
  await records.remove(written, signal);
  const now = clock.nowMs();
  if (storedAtMs === undefined) {
    return now;
  }
  if (Math.abs(now - storedAtMs) > SKEW_MS) {
    throw new Fault(
      'collector.clock-disagrees',
      `The clock of this host and that of the store differ by ${String(Math.round(Math.abs(now - storedAtMs) / 60_000))} minutes. Nothing was given up; set the clock that is wrong.`,
      { skewMs: now - storedAtMs },
    );
  }
  return storedAtMs;
}
