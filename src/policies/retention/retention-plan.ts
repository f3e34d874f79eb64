import { chooseByRules, type KeepRules, type RuleMark } from './keep-rules.ts';
import type { GfsRule } from './periods.ts';

/** How far the clock of another host may be ahead. */
export const AHEAD_MS_MAX = 5 * 60_000;

/** What is known of the content of a point; `damaged`: a verification failed since it was whole. */
export type Proven = 'whole' | 'damaged' | 'unknown';

/** A point of a vault as retention sees it. */
export interface JudgedPoint {
  readonly id: string;
  readonly vmId: string;
  readonly takenAtMs: number;
  /** Somebody holds it. */
  readonly isHeld: boolean;
  /** The store lets nobody remove it before then. */
  readonly lockedUntilMs?: number;
  readonly proven: Proven;
  /** Who reads it now, such as a guest that runs from it. */
  readonly reader?: string;
  /** Another point is the result of its run. */
  readonly isExtra: boolean;
  /** The set of points of one moment that is kept or given up whole. */
  readonly group?: string;
  /** Names of the policies that have a say, first the owner; or why nobody decides. */
  readonly judges: readonly string[] | Undecided;
}

/** Why no policy decides about a point: it is kept until a person does. */
export type Undecided = 'by-hand' | 'other-service' | 'policy-gone' | 'vm-gone';

/** What a policy says about keeping; without rules it keeps everything. */
export interface Judge {
  readonly rules: KeepRules | undefined;
  /** It decides nothing now: everything stays that it has a say over. */
  readonly isPaused: boolean;
}

export interface RetentionInput {
  readonly points: readonly JudgedPoint[];
  /** By name. */
  readonly judges: ReadonlyMap<string, Judge>;
  /** VMs of which nothing is given up, and why. */
  readonly blocked: ReadonlyMap<string, string>;
  /** Sets of which a point is missing: they fill no period. */
  readonly incompleteGroups: ReadonlySet<string>;
  readonly nowMs: number;
}

/**
 * Why a point is kept: a rule of a policy; `minimum-age`, `at-least`; `no-rules`, `paused`: its
 * policy gives nothing up; `newest-verified`, `newest`: nothing that counts is newer; `hold`,
 * `lock`; `reading`: somebody reads it; `group`: another point of its set is kept; `blocked`: its
 * VM; `ahead`: its time lies in the future; `nobody`: no policy decides. Why it is given up: the
 * rule that keeps a newer point of the same period; `beyond`: no rule reaches it; `damaged`,
 * `incomplete`, `extra`: it does not count.
 */
export type ReasonRule =
  | GfsRule
  | ('minimum-age' | 'at-least' | 'no-rules' | 'paused' | 'newest-verified' | 'newest')
  | ('hold' | 'lock' | 'reading' | 'group' | 'blocked' | 'ahead' | 'nobody')
  | ('beyond' | 'damaged' | 'incomplete' | 'extra');

export interface Reason {
  readonly rule: ReasonRule;
  /** Of the rule: a period, an instant, the set, or why; may be empty. */
  readonly period: string;
  readonly policy?: string;
}

/** What becomes of a point, with every reason to keep it, or why it is given up. */
export interface PointDecision {
  readonly pointId: string;
  readonly keep: boolean;
  readonly because: readonly Reason[];
}

/**
 * Decides for each point of a vault whether it is kept, in the order of the points. Deciding again
 * about what was kept keeps the same.
 */
export function planRetention(input: RetentionInput): PointDecision[] {
  return new Planning(input, true).decisions();
}

/** Returns the ids of the points that a plan gives up, in its order. */
export function dueOf(decisions: readonly PointDecision[]): string[] {
  return decisions.filter(({ keep }) => !keep).map(({ pointId }) => pointId);
}

const known = new WeakMap<RetentionInput, readonly string[]>();

/** Returns the ids of the points that would be given up; of one input it plans once. */
export function givenUp(input: RetentionInput): readonly string[] {
  const found = known.get(input) ?? new Planning(input, false).givenUp();
  known.set(input, found);
  return found;
}

class Planning {
  private readonly keeping = new Map<string, Reason[]>();
  private readonly against = new Map<string, Reason[]>();
  /** By policy: the points of each VM that it has a say over, newest first. */
  private readonly own = new Map<string, JudgedPoint[][]>();

  /** @param tells whether reasons are noted: without them it takes half the time */
  constructor(
    private readonly input: RetentionInput,
    private readonly tells: boolean,
  ) {}

  decisions(): PointDecision[] {
    this.decide();
    return this.input.points.map(({ id }) => {
      const because = this.keeping.get(id);
      return because === undefined
        ? { pointId: id, keep: false, because: this.against.get(id) ?? NONE }
        : { pointId: id, keep: true, because };
    });
  }

  /** Returns the ids of the points that are given up. */
  givenUp(): string[] {
    this.decide();
    return this.input.points.map(({ id }) => id).filter((id) => !this.keeping.has(id));
  }

  private decide(): void {
    for (const own of Map.groupBy(this.input.points, ({ vmId }) => vmId).values()) {
      this.ofVm(own.sort(byNewest));
    }
    this.wholeGroups();
    this.atLeast();
    this.wholeGroups();
  }

  private ofVm(newestFirst: readonly JudgedPoint[]): void {
    for (const point of newestFirst) {
      this.byItself(point);
    }
    const verified = newestFirst.find((point) => point.proven === 'whole' && !this.isAhead(point));
    if (verified !== undefined) {
      this.keep(verified, 'newest-verified', '');
    }
    const byPolicy = byJudge(newestFirst);
    for (const [policy, judge] of this.input.judges) {
      const own = byPolicy.get(policy);
      if (own !== undefined) {
        add(this.own, policy, own);
        this.byPolicy(own, policy, judge);
      }
    }
  }

  /** What keeps a point whatever policies say. */
  private byItself(point: JudgedPoint): void {
    const { isHeld, lockedUntilMs = 0, reader, judges, vmId } = point;
    const { blocked, nowMs } = this.input;
    const why = blocked.get(vmId);
    const keepIf = (isSo: boolean, rule: ReasonRule, period: () => string): void => {
      if (isSo) {
        this.keep(point, rule, period());
      }
    };
    keepIf(isHeld, 'hold', () => '');
    keepIf(lockedUntilMs > nowMs, 'lock', () => isoOf(lockedUntilMs));
    keepIf(reader !== undefined, 'reading', () => reader ?? '');
    keepIf(this.isAhead(point), 'ahead', () => isoOf(point.takenAtMs));
    keepIf(why !== undefined, 'blocked', () => why ?? '');
    keepIf(typeof judges === 'string', 'nobody', () => String(judges));
  }

  private byPolicy(own: readonly JudgedPoint[], policy: string, judge: Judge): void {
    const { rules, isPaused } = judge;
    if (rules === undefined || isPaused) {
      for (const point of own) {
        this.keep(point, isPaused ? 'paused' : 'no-rules', '', policy);
      }
      return;
    }
    const counting = own.filter((point) => this.counts(point, policy));
    const marks = chooseByRules(counting, rules);
    let counted = 0;
    for (const point of own) {
      const isCounted = point === counting[counted];
      if (counted === 0 && !isCounted) {
        this.keep(point, 'newest', '', policy);
      }
      this.minimumAge(point, policy, rules);
      if (isCounted) {
        this.mark(point, policy, marks[counted]);
        counted += 1;
      }
    }
  }

  /** Whether a point can fill a period; if it cannot, notes why. */
  private counts(point: JudgedPoint, policy: string): boolean {
    if (point.isHeld || this.isAhead(point)) {
      return false;
    }
    const rule = this.flawOf(point);
    if (rule !== undefined) {
      this.speakAgainst(point, rule, '', policy);
    }
    return rule === undefined;
  }

  private flawOf({ proven, group, isExtra }: JudgedPoint): ReasonRule | undefined {
    if (proven === 'damaged') {
      return 'damaged';
    }
    if (group !== undefined && this.input.incompleteGroups.has(group)) {
      return 'incomplete';
    }
    return isExtra ? 'extra' : undefined;
  }

  private minimumAge(point: JudgedPoint, policy: string, { minimumAgeMs = 0 }: KeepRules): void {
    const untilMs = point.takenAtMs + minimumAgeMs;
    if (untilMs > this.input.nowMs && !this.isAhead(point)) {
      this.keep(point, 'minimum-age', isoOf(untilMs), policy);
    }
  }

  private mark(point: JudgedPoint, policy: string, mark: RuleMark | undefined): void {
    if (mark === undefined) {
      this.speakAgainst(point, 'beyond', '', policy);
      return;
    }
    const { keep, rule, period } = mark;
    if (keep) {
      this.keep(point, rule, period, policy);
    } else {
      this.speakAgainst(point, rule, period, policy);
    }
  }

  /** Keeps the whole of each set of which a point is kept. */
  private wholeGroups(): void {
    const kept = new Set<string>();
    for (const { id, group } of this.input.points) {
      if (group !== undefined && this.keeping.has(id)) {
        kept.add(group);
      }
    }
    if (kept.size === 0) {
      return;
    }
    for (const point of this.input.points) {
      if (point.group !== undefined && kept.has(point.group) && !this.keeping.has(point.id)) {
        this.keep(point, 'group', point.group);
      }
    }
  }

  /** Keeps the newest other points of a VM while too few are left; damaged ones last. */
  private atLeast(): void {
    const judges = [...this.input.judges].filter(([, { rules }]) => rules?.atLeast !== undefined);
    if (judges.length === 0) {
      return;
    }
    const before = new Set(this.keeping.keys());
    for (const [policy, { rules }] of judges) {
      for (const own of this.own.get(policy) ?? []) {
        const [damaged, others] = split(own, ({ proven }) => proven === 'damaged');
        const left = others.filter(({ id }) => before.has(id)).length;
        const spare = [...others, ...damaged].filter(({ id }) => !before.has(id));
        for (const point of spare.slice(0, Math.max(0, (rules?.atLeast ?? 0) - left))) {
          this.keep(point, 'at-least', String(rules?.atLeast), policy);
        }
      }
    }
  }

  private isAhead({ takenAtMs }: JudgedPoint): boolean {
    return takenAtMs > this.input.nowMs + AHEAD_MS_MAX;
  }

  private keep({ id }: JudgedPoint, rule: ReasonRule, period: string, policy?: string): void {
    if (this.tells) {
      add(this.keeping, id, reasonOf(rule, period, policy));
    } else {
      this.keeping.set(id, NONE);
    }
  }

  private speakAgainst(
    { id }: JudgedPoint,
    rule: ReasonRule,
    period: string,
    policy: string,
  ): void {
    if (this.tells) {
      add(this.against, id, reasonOf(rule, period, policy));
    }
  }
}

const NONE: Reason[] = [];

function reasonOf(rule: ReasonRule, period: string, policy: string | undefined): Reason {
  return { rule, period, ...(policy === undefined ? {} : { policy }) };
}

/** True if the policy has a say about points with these judges. */
export function isJudgedBy(judges: JudgedPoint['judges'], policy: string): boolean {
  return typeof judges !== 'string' && judges.includes(policy);
}

function byNewest(a: JudgedPoint, b: JudgedPoint): number {
  return b.takenAtMs - a.takenAtMs || (a.id < b.id ? 1 : -1);
}

function byJudge(points: readonly JudgedPoint[]): Map<string, JudgedPoint[]> {
  const found = new Map<string, JudgedPoint[]>();
  for (const point of points) {
    for (const policy of typeof point.judges === 'string' ? [] : point.judges) {
      add(found, policy, point);
    }
  }
  return found;
}

function add<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const known = lists.get(key);
  if (known === undefined) {
    lists.set(key, [value]);
  } else {
    known.push(value);
  }
}

function split<T>(all: readonly T[], isFirst: (one: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}

/** An instant of which the store or a clock says that it is far off has no shorter name. */
function isoOf(instantMs: number): string {
  return Number.isFinite(instantMs) && instantMs < 8.64e15
    ? new Date(instantMs).toISOString().slice(0, 'yyyy-mm-ddThh:mm'.length) + 'Z'
    : 'for ever';
}
