import { isDeepStrictEqual } from 'node:util';
import type { PolicyRows } from '../../../catalog/policy-rows.ts';
import type { RetentionRows } from '../../../catalog/retention-rows.ts';
import { SERVICE_ACTOR } from '../../../kernel/actor.ts';
import type { PolicyDocument } from '../../document/policy-document.ts';
import {
  isReadable,
  policyInForce,
  type KnownPolicy,
  type PolicyInForce,
} from '../../known-policy.ts';
import { nextFireTime } from '../../schedule/fire-times.ts';
import { rulesOf } from '../point-judges.ts';
import type { RetentionInput } from '../retention-plan.ts';
import type { WaitingRevision } from './retention-report.ts';
import { RevisionBrake, withEarlier, type NewRevision } from '../revision-brake.ts';

const WEEK_MS = 7 * 86_400_000;

export interface StandingJudgesParts {
  readonly policies: Pick<PolicyRows, 'history'>;
  readonly rows: Pick<RetentionRows, 'carried' | 'carry'>;
}

/** What a decision is made by. */
export interface BrakedInput {
  readonly input: RetentionInput;
  readonly waiting: readonly WaitingRevision[];
}

/** Holds back revisions that give up more than falls due in a week, until a person says yes. */
export class StandingJudges {
  constructor(private readonly parts: StandingJudgesParts) {}

  /**
   * Returns the input with the newest rules, and beside them the earlier ones of each policy whose
   * newest revision waits: of its points everything stays that either keeps.
   *
   * @param isNoted whether it is written down that the others are carried out from now on
   */
  async brake(
    vaultId: string,
    input: RetentionInput,
    policies: readonly PolicyInForce[],
    isNoted: boolean,
  ): Promise<BrakedInput> {
    const carried = await this.parts.rows.carried(vaultId);
    const waiting: WaitingRevision[] = [];
    let braked = input;
    // A new revision may not be carried out early, whatever blocks its VMs today.
    const free =
      input.blocked.size === 0 ? input : { ...input, blocked: new Map<string, string>() };
    let brake: RevisionBrake | undefined;
    // A policy that is paused gives nothing up, and so says nothing about its newest revision.
    for (const policy of policies.filter(isReadable).filter(({ paused }) => !paused)) {
      const revision = carried.get(policy.id);
      if (revision === policy.revision) {
        continue;
      }
      const earlier = await this.earlier(policy, revision, input.nowMs);
      const pointIds = isStricter(policy, earlier)
        ? (brake ??= new RevisionBrake(free)).givenUpEarly(earlier)
        : [];
      if (pointIds.length > 0) {
        const { name } = policy;
        waiting.push({ policy: name, revision: policy.revision, carried: revision, pointIds });
        braked = withEarlier(braked, earlier, `${name} before revision ${String(policy.revision)}`);
      } else if (isNoted) {
        const by = { author: SERVICE_ACTOR, atMs: input.nowMs };
        await this.parts.rows.carry(policy, vaultId, by);
      }
    }
    return { input: braked, waiting };
  }

  /** Returns what a policy keeps by now, at the revision that is carried out. */
  private async earlier(
    policy: KnownPolicy,
    revision: number | undefined,
    nowMs: number,
  ): Promise<NewRevision> {
    const all = revision === undefined ? [] : await this.parts.policies.history(policy.name);
    const found = all.find(({ policyId, number }) => policyId === policy.id && number === revision);
    const read = found && policyInForce({ ...policy, document: found.document });
    const document = read !== undefined && isReadable(read) ? read.document : undefined;
    return {
      policy: policy.name,
      before: document && rulesOf(document),
      isNew: revision === undefined,
      fireTimes: fireTimesOf(policy.document, nowMs),
    };
  }
}

/** False if the newest rules give up nothing that the earlier ones keep, as is plain to see. */
function isStricter({ document }: KnownPolicy, { before, isNew }: NewRevision): boolean {
  const rules = rulesOf(document);
  return rules !== undefined && (isNew || !isDeepStrictEqual(before, rules));
}

function fireTimesOf({ schedule }: PolicyDocument, nowMs: number): number[] {
  const found: number[] = [];
  let at = nextFireTime(schedule, nowMs);
  for (; at !== undefined && at < nowMs + WEEK_MS; at = nextFireTime(schedule, at)) {
    found.push(at);
  }
  return found;
}
