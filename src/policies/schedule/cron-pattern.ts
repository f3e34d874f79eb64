import { Cron } from 'croner';
import { Lru } from '../../kernel/memory/lru.ts';

const NICKNAMES = new Set(['@hourly', '@daily', '@weekly', '@monthly', '@yearly']);
/** What every cron knows. The library knows more, such as L and #, that others read differently. */
const FIELD = /^[\dA-Za-z*,/-]+$/;
const NAMES = /^(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)$/i;
const PATTERNS_MAX = 1000;

/** A cron pattern over the wall clock: it knows no time zone, so no hour is missing or doubled. */
export interface CronPattern {
  /** True if every hour of the day counts: then an hour that exists twice counts twice. */
  readonly everyHour: boolean;
  /**
   * Returns the next matching time, or undefined. Times are those of a wall clock, in milliseconds
   * as if it showed UTC.
   */
  next(afterMs: number): number | undefined;
}

const patterns = new Lru<string, CronPattern>(PATTERNS_MAX);

/** Returns the pattern of a text in which `cronProblem` found nothing. */
export function cronPattern(text: string): CronPattern {
  const known = patterns.get(text);
  if (known !== undefined) {
    return known;
  }
  // With a time zone, even UTC, the library is ten times slower. Paused: it only computes.
  const cron = new Cron(text, { utcOffset: 0, mode: '5-part', paused: true });
  const made: CronPattern = {
    everyHour: text === '@hourly' || fieldsOf(text)[1] === '*',
    next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime(),
  };
  patterns.set(text, made, 1);
  return made;
}

/** Returns what is wrong with a cron text, for people, or undefined. */
export function cronProblem(text: string): string | undefined {
  if (!NICKNAMES.has(text)) {
    const fields = fieldsOf(text);
    const strange = fields.find((field) => !isField(field));
    if (fields.length !== 5 || strange !== undefined) {
      return `five fields (minute hour day month weekday) or one of ${[...NICKNAMES].join(' ')}`;
    }
  }
  try {
    return cronPattern(text).next(0) === undefined ? 'this never comes' : undefined;
  } catch (error) {
    return Error.isError(error) ? error.message.replace(/^CronPattern: /, '') : 'no cron pattern';
  }
}

function fieldsOf(text: string): string[] {
  return text.trim().split(/\s+/);
}

function isField(field: string): boolean {
  const words = field.match(/[A-Za-z]+/g) ?? [];
  return FIELD.test(field) && words.every((word) => NAMES.test(word));
}
