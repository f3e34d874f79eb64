import { count, formatDuration, formatRate, formatTime } from './quantities.ts';

describe('formatDuration', () => {
  it.each([
    [0, '0.0 s'],
    [412, '0.4 s'],
    [9_949, '9.9 s'],
    [9_950, '10 s'],
    [59_499, '59 s'],
    [59_600, '1 min 00 s'],
    [185_000, '3 min 05 s'],
    [3_599_400, '59 min 59 s'],
    [7_800_000, '2 h 10 min'],
    [90_000_000, '1 d 01 h'],
  ])('writes %d ms as %s', (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });
});

describe('formatTime', () => {
  it('writes the moment in the zone that is asked for', () => {
    const timeMs = Date.UTC(2026, 10, 22, 23, 5, 9);

    expect(formatTime(timeMs, 'UTC')).toBe('2026-11-22 23:05:09 UTC');
    expect(formatTime(timeMs, 'Europe/Berlin')).toMatch(/^2026-11-23 00:05:09 (CET|GMT\+1)$/);
  });

  it('follows summer time', () => {
    expect(formatTime(Date.UTC(2026, 6, 1, 12), 'Europe/Berlin')).toContain('2026-07-01 14:00:00');
  });
});

describe('formatRate and count', () => {
  it('read as people say them', () => {
    expect(formatRate(1536 * 1024)).toBe('1.50 MiB/s');
    expect(count(1, 'disk')).toBe('1 disk');
    expect(count(0, 'entry', 'entries')).toBe('0 entries');
  });
});
