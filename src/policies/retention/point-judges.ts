import type { PointOrigin } from '../../vault/format/point-origin.ts';
import { durationMs } from '../document/duration.ts';
import type { PolicyDocument } from '../document/policy-document.ts';
import { selectVms, type SelectableVm } from '../document/selector.ts';
import { isReadable, type KnownPolicy, type PolicyInForce } from '../known-policy.ts';
import type { KeepRules } from './keep-rules.ts';
import type { Judge, JudgedPoint, Undecided } from './retention-plan.ts';

/** What decides whose points are. */
export interface JudgingFacts {
  /** Name of the vault with the points. */
  readonly vault: string;
  /** Those in force. */
  readonly policies: readonly PolicyInForce[];
  /** Those that are there, of all hosts that share the database. */
  readonly vms: readonly SelectableVm[];
  /** Ids of the services that share the database. */
  readonly services: ReadonlySet<string>;
  /** Policies that people gave points to, by the ids of the points. */
  readonly owners: ReadonlyMap<string, string>;
}

/** Knows which policies have a say about a point. */
export class PointJudges {
  private readonly vms: ReadonlySet<string>;
  private readonly policies: ReadonlySet<string>;
  /** By VM: the policies that take points of it into this vault. */
  private readonly selecting = new Map<string, string[]>();

  constructor(private readonly facts: JudgingFacts) {
    this.vms = new Set(facts.vms.map(({ id }) => id));
    this.policies = new Set(facts.policies.map(({ name }) => name));
    for (const { document } of facts.policies.filter(isReadable)) {
      if (document.vault === facts.vault) {
        for (const { id } of selectVms(document, facts.vms)) {
          this.selecting.set(id, [...(this.selecting.get(id) ?? []), document.name]);
        }
      }
    }
  }

  /**
   * Returns the policies: that of its origin, or the one that somebody gave it to, in its newest
   * revision, and all others that take points of its VM into the vault.
   */
  of(point: {
    readonly id: string;
    readonly vmId: string;
    readonly origin?: PointOrigin | undefined;
  }): JudgedPoint['judges'] {
    const { id, vmId, origin } = point;
    const given = this.facts.owners.get(id);
    const owner = given ?? takenBy(origin);
    if (owner === undefined) {
      return 'by-hand';
    }
    if (given === undefined && !this.facts.services.has(origin?.service ?? '')) {
      return 'other-service';
    }
    return (
      this.undecided(owner, vmId) ?? [...new Set([owner, ...(this.selecting.get(vmId) ?? [])])]
    );
  }

  private undecided(owner: string, vmId: string): Undecided | undefined {
    if (!this.vms.has(vmId)) {
      return 'vm-gone';
    }
    return this.policies.has(owner) ? undefined : 'policy-gone';
  }
}

function takenBy(origin: PointOrigin | undefined): string | undefined {
  return origin?.kind === 'policy' || origin?.kind === 'group' ? origin.policy : undefined;
}

/** Returns how policies judge. One that cannot be read gives nothing up. */
export function judgesOf(policies: readonly PolicyInForce[]): Map<string, Judge> {
  return new Map(
    policies.map((policy) => [
      policy.name,
      isReadable(policy) ? judgeOf(policy) : { rules: undefined, isPaused: true },
    ]),
  );
}

function judgeOf({ document, paused }: KnownPolicy): Judge {
  return { rules: rulesOf(document), isPaused: paused };
}

/** Returns what a policy says about keeping; undefined if it keeps everything. */
export function rulesOf({ retention, schedule }: PolicyDocument): KeepRules | undefined {
  if (retention === undefined) {
    return undefined;
  }
  const { minimumAge, atLeast, ...counts } = retention;
  const given = Object.entries(counts).filter(([, count]) => count !== undefined);
  return {
    zone: schedule.zone,
    ...Object.fromEntries(given),
    ...(atLeast === undefined ? {} : { atLeast }),
    ...(minimumAge === undefined ? {} : { minimumAgeMs: durationMs(minimumAge) }),
  };
}
