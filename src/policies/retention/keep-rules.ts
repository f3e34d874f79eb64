import type { GfsRule, Periods } from './periods.ts';
import { GFS_RULES, periodsOf } from './periods.ts';

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
  readonly id: string;
  readonly takenAtMs: number;
}

/**
 * Lets the rules choose among points of one VM, newest first. Each rule goes from new to old and
 * keeps the newest undecided point of a period, in as many periods as it counts; it gives up the
 * others of those periods for good. A period that an earlier rule kept a point of is not counted
 * again. Points that are not in the result are kept by no rule.
 */
export function chooseByRules(
  newestFirst: readonly TimedPoint[],
  rules: KeepRules,
): Map<string, RuleMark> {
  const marks = new Map<string, RuleMark>();
  const periods = new Map(
    newestFirst.map(({ id, takenAtMs }) => [id, periodsOf(rules.zone, takenAtMs)]),
  );
  for (const rule of GFS_RULES) {
    const count = rules[rule] ?? 0;
    if (count > 0) {
      const labels = newestFirst.map(({ id }, place) => labelOf(rule, periods.get(id), place));
      choose({ newestFirst, labels, marks }, rule, count);
    }
  }
  return marks;
}

interface Choice {
  readonly newestFirst: readonly TimedPoint[];
  /** The period of each point, at its place. */
  readonly labels: readonly string[];
  readonly marks: Map<string, RuleMark>;
}

function choose({ newestFirst, labels, marks }: Choice, rule: GfsRule, count: number): void {
  const kept = new Set(labels.filter((_, place) => isKept(newestFirst[place], marks)));
  const chosen = new Set<string>();
  for (const [place, { id }] of newestFirst.entries()) {
    const period = labels[place] ?? '';
    if (marks.has(id) || kept.has(period)) {
      continue;
    }
    if (chosen.has(period)) {
      marks.set(id, { keep: false, rule, period });
    } else if (chosen.size < count) {
      // Not the end of the walk when the count is reached: where a clock is set back by two hours,
      // an hour that was chosen comes again behind another one.
      chosen.add(period);
      marks.set(id, { keep: true, rule, period });
    }
  }
}

function isKept(point: TimedPoint | undefined, marks: ReadonlyMap<string, RuleMark>): boolean {
  return point !== undefined && marks.get(point.id)?.keep === true;
}

function labelOf(rule: GfsRule, periods: Periods | undefined, place: number): string {
  return rule === 'last' ? String(place + 1) : (periods?.[rule] ?? '');
}
