import type { KeepRules } from './keep-rules.ts';
import { givenUp, isJudgedBy, type JudgedPoint, type RetentionInput } from './retention-plan.ts';

const WEEK_MS = 7 * 86_400_000;

/** A policy with a revision that nobody has carried out yet. */
export interface NewRevision {
  readonly policy: string;
  /** What it keeps by now; undefined: everything. */
  readonly before: KeepRules | undefined;
  /** It is new: so far it had no say about points of other policies. */
  readonly isNew: boolean;
  /** When it takes points in the week that comes. */
  readonly fireTimes: readonly number[];
}

/** What new rules would give up early, for one policy after another. */
export class RevisionBrake {
  private readonly gone: ReadonlySet<string>;
  private readonly byVm: ReadonlyMap<string, readonly JudgedPoint[]>;
  private readonly vmsOf = new Map<string, Set<string>>();

  /** @param input with the new rules of all policies */
  constructor(private readonly input: RetentionInput) {
    this.gone = new Set(givenUp(input));
    this.byVm = Map.groupBy(input.points, ({ vmId }) => vmId);
    for (const { vmId, judges } of input.points) {
      for (const policy of typeof judges === 'string' ? [] : judges) {
        const vms = this.vmsOf.get(policy) ?? new Set();
        this.vmsOf.set(policy, vms.add(vmId));
      }
    }
  }

  /**
   * Returns the points that the new rules of a policy would give up although the earlier ones would
   * still keep them in a week: what is more than a week's due waits for a person.
   */
  givenUpEarly(revision: NewRevision): string[] {
    const input = this.concernedBy(revision.policy);
    const now = input.points.map(({ id }) => id).filter((id) => this.gone.has(id));
    if (now.length === 0) {
      return [];
    }
    const { policy, before, fireTimes } = revision;
    const earlier = withEarlier(input, revision, policy);
    const soon = new Set(before === undefined ? [] : givenUp(inAWeek(earlier, policy, fireTimes)));
    const more = now.filter((id) => !soon.has(id));
    if (more.length === 0) {
      return [];
    }
    const already = new Set(givenUp(earlier));
    return more.filter((id) => !already.has(id));
  }

  /**
   * Returns the input with the points of those VMs alone that a policy has a say over. What other
   * points of their sets keep is not given up now.
   */
  private concernedBy(policy: string): RetentionInput {
    const vms = [...(this.vmsOf.get(policy) ?? [])];
    return { ...this.input, points: vms.flatMap((vmId) => this.byVm.get(vmId) ?? []) };
  }
}

/**
 * Returns the input with the earlier rules of a policy under a name: in place of the newest ones if
 * it is that of the policy, else beside them.
 */
export function withEarlier(
  input: RetentionInput,
  { policy, before, isNew }: Omit<NewRevision, 'fireTimes'>,
  name: string,
): RetentionInput {
  return {
    ...input,
    judges: new Map([...input.judges, [name, { rules: before, isPaused: false }] as const]),
    points: input.points.map((point) => {
      const { judges } = point;
      if (typeof judges === 'string' || !judges.includes(policy)) {
        return point;
      }
      const others = judges.filter((judge) => judge !== name);
      const isJudged = !isNew || judges[0] === policy;
      return { ...point, judges: isJudged ? [...others, name] : others };
    }),
  };
}

/** Returns the vault as it would be if every backup of a week succeeded. */
function inAWeek(
  input: RetentionInput,
  policy: string,
  fireTimes: readonly number[],
): RetentionInput {
  const own = input.points.filter(({ judges }) => isJudgedBy(judges, policy));
  const judges = new Map(own.map(({ vmId, judges: all }) => [vmId, all]));
  const coming = [...judges].flatMap(([vmId, all]) =>
    fireTimes.map((takenAtMs) => ({
      id: `${vmId} ${String(takenAtMs)}`,
      ...{ vmId, takenAtMs, judges: all },
      ...{ isHeld: false, isExtra: false, proven: 'unknown' as const },
    })),
  );
  return { ...input, points: [...input.points, ...coming], nowMs: input.nowMs + WEEK_MS };
}
