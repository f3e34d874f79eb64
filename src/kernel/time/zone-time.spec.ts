import { offsetOf } from './zone-time.ts';

const MINUTE_MS = 60_000;
/** Change to summer time, by hours, half an hour, at a minute past midnight, and of a whole day. */
const CHANGES: readonly [zone: string, atMs: number][] = [
  ['Europe/Berlin', Date.UTC(2026, 2, 29, 1)],
  ['Europe/Berlin', Date.UTC(2026, 9, 25, 1)],
  ['Australia/Lord_Howe', Date.UTC(2026, 3, 4, 15)],
  ['America/St_Johns', Date.UTC(2005, 3, 3, 3, 31)],
  ['Pacific/Apia', Date.UTC(2011, 11, 30, 10)],
  ['Africa/Monrovia', Date.UTC(1972, 0, 7, 0, 44, 30)],
];

/** The same by another way: the name of the offset. */
function namedOffset(zone: string, atMs: number): number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
  const name = format.formatToParts(atMs).find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const [, sign, hours = '0', minutes = '0', seconds = '0'] =
    /^GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/u.exec(name) ?? [];
  const ms = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
  return sign === '-' ? -ms : ms;
}

describe('offsetOf', () => {
  it.each(CHANGES)('is right on both sides of a change in %s', (zone, changeMs) => {
    const instants = [-121, -61, -60, -59, -1, 0, 1, 29, 59, 60, 61].flatMap((minutes) => [
      changeMs + minutes * MINUTE_MS - 1,
      changeMs + minutes * MINUTE_MS,
    ]);
    for (const atMs of [...instants, ...instants.toReversed()]) {
      expect([atMs, offsetOf(zone, atMs)]).toEqual([atMs, namedOffset(zone, atMs)]);
    }
    expect(offsetOf(zone, changeMs)).not.toBe(offsetOf(zone, changeMs - 1));
  });
});
