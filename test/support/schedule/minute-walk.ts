const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const LIMITS = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;

interface Fields {
  readonly has: (wallMs: number) => boolean;
  /** The hour is written as `*`. */
  readonly everyHour: boolean;
}

/** A reading of cron patterns of its own: numbers, `*`, ranges, lists and steps. */
function fieldsOf(cron: string): Fields {
  const texts = cron.split(' ');
  const [minutes, hours, days, months, weekdays] = LIMITS.map(([low, high], place) =>
    valuesOf(texts[place] ?? '', low, high),
  );
  const eitherDay = texts[2] !== '*' && texts[4] !== '*';
  return {
    everyHour: texts[1] === '*',
    has: (wallMs) => {
      if (minutes?.has((wallMs / MINUTE_MS) % 60) !== true) {
        return false;
      }
      const at = new Date(wallMs);
      const day = days?.has(at.getUTCDate()) === true;
      const weekday = weekdays?.has(at.getUTCDay()) === true;
      return (
        hours?.has(at.getUTCHours()) === true &&
        months?.has(at.getUTCMonth() + 1) === true &&
        (eitherDay ? day || weekday : day && weekday)
      );
    },
  };
}

function valuesOf(text: string, low: number, high: number): Set<number> {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const [range = '', step = '1'] = part.split('/');
    const [from = '', to = from] = range === '*' ? [String(low), String(high)] : range.split('-');
    for (let value = Number(from); value <= Number(to); value += Number(step)) {
      values.add(high === 7 ? value % 7 : value);
    }
  }
  return values;
}

/** What the wall clock of a zone shows in each minute from `startMs` on, as if it showed UTC. */
export class MinuteWalk {
  readonly startMs: number;
  readonly walls: Float64Array;

  /** Reads the clock every hour, and every minute of an hour in which it was changed. */
  constructor(zone: string, startMs: number, endMs: number) {
    this.startMs = Math.floor(startMs / HOUR_MS) * HOUR_MS;
    const format = new Intl.DateTimeFormat('sv-SE', {
      timeZone: zone,
      dateStyle: 'short',
      timeStyle: 'short',
    });
    const read = (atMs: number): number =>
      Date.parse(`${format.format(atMs).replace(' ', 'T')}:00Z`);
    const hours = Math.ceil((endMs - this.startMs) / HOUR_MS);
    this.walls = new Float64Array(hours * 60);
    let wall = read(this.startMs);
    for (let hour = 0; hour < hours; hour++) {
      const atMs = this.startMs + hour * HOUR_MS;
      const next = read(atMs + HOUR_MS);
      const changed = next !== wall + HOUR_MS;
      for (let minute = 0; minute < 60; minute++) {
        const passedMs = minute * MINUTE_MS;
        this.walls[hour * 60 + minute] = changed ? read(atMs + passedMs) : wall + passedMs;
      }
      wall = next;
    }
  }

  /** The fire times of a pattern, by looking at each minute; the first day only warms up. */
  fireTimes(cron: string): number[] {
    const { has, everyHour } = fieldsOf(cron);
    const times: number[] = [];
    let latest = (this.walls[0] ?? 0) - MINUTE_MS;
    let before = latest;
    for (const [minute, wall] of this.walls.entries()) {
      const isNew = wall > latest;
      let fires = (isNew || everyHour) && has(wall);
      for (let skipped = before + MINUTE_MS; skipped < wall; skipped += MINUTE_MS) {
        fires ||= skipped > latest && has(skipped);
      }
      if (fires && minute * MINUTE_MS > DAY_MS) {
        times.push(this.startMs + minute * MINUTE_MS);
      }
      latest = Math.max(latest, wall);
      before = wall;
    }
    return times;
  }
}
