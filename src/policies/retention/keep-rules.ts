import { GFS_RULES, periodsOf, type GfsRule } from './periods.ts';

/** How long a policy keeps points of a VM: counts of points and of periods that have points. */
export interface KeepRules extends Readonly<Partial<Record<GfsRule, number>>> {
  /** Periods are those of the wall clock in this zone. */
  readonly zone: string;
  /** Never fewer points of a VM than this, as far as there are so many. */
  readonly atLeast?: number;
  /** Nothing younger is given up. */
  readonly minimumAgeMs?: number;
}

/** What a rule decided about a point: it keeps it, or a newer one of the same period. */
export interface RuleMark {
  readonly keep: boolean;
  readonly rule: GfsRule;
  /** Of the rule; for `last` the place of the point, counted from the newest. */
  readonly period: string;
}

interface TimedPoint {
  readonly takenAtMs: number;
}

/**
 * Lets the rules choose among points of one VM, newest first. Each rule goes from new to old and
 * keeps the newest undecided point of a period, in as many periods as it counts; it gives up the
 * others of those periods for good. A period that an earlier rule kept a point of is not counted
 * again.
 *
 * @returns what was decided of each point, at its place; undefined: no rule keeps it
 */
export function chooseByRules(
  newestFirst: readonly TimedPoint[],
  rules: KeepRules,
): readonly (RuleMark | undefined)[] {
  const marks = newestFirst.map((): RuleMark | undefined => undefined);
  const periods = newestFirst.map(({ takenAtMs }) => periodsOf(rules.zone, takenAtMs));
  for (const rule of GFS_RULES) {
    const count = rules[rule] ?? 0;
    if (count > 0) {
      choose(
        marks,
        periods.map((each, place) => (rule === 'last' ? String(place + 1) : each[rule])),
        rule,
        count,
      );
    }
  }
  return marks;
}

/** @param labels the period of each point, at its place */
function choose(
  marks: (RuleMark | undefined)[],
  labels: readonly string[],
  rule: GfsRule,
  count: number,
): void {
  const kept = new Set(labels.filter((_, place) => marks[place]?.keep === true));
  const chosen = new Set<string>();
  for (const [place, period] of labels.entries()) {
    if (marks[place] !== undefined || kept.has(period)) {
      continue;
    }
    if (chosen.has(period)) {
      marks[place] = { keep: false, rule, period };
    } else if (chosen.size < count) {
      // Not the end of the walk when the count is reached: where a clock is set back by two hours,
      // an hour that was chosen comes again behind another one.
      chosen.add(period);
      marks[place] = { keep: true, rule, period };
    }
  }
}
