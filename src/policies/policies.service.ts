import type {
  PolicyChanges,
  PolicyRows,
  StoredPolicy,
  StoredRevision,
} from '../catalog/policy-rows.ts';
import type { CareRevisions, StoredCareRevision } from '../catalog/care/care-revisions.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { currentActor } from '../kernel/actor.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import type { PolicyDocument } from './document/policy-document.ts';
import { careInForce, isReadableCare, type CareInForce } from './care/care-in-force.ts';
import { changeCare, planCare, unknownNames } from './care/care-changes.ts';
import { readPolicies, type ReadPolicy, type ReadText } from './document/read-policies.ts';
import type { SelectableVm } from './document/selector.ts';
import type { HostedVm } from './hosted-vm.ts';
import { writePolicies } from './document/write-policies.ts';
import { isReadable, policyInForce, type KnownPolicy, type PolicyInForce } from './known-policy.ts';
import { fieldChanges } from './plan/field-changes.ts';
import {
  commandsOf,
  planPolicies,
  type PlannedAction,
  type PlannedPolicy,
  type PolicyPlan,
} from './plan/policy-plan.ts';
import { PERMANENT_OBJECTS_MAX } from './plan/vault-forecast.ts';

/** Policies as somebody wrote them. */
export interface PolicyText {
  readonly text: string;
  /** How people call it: the name of its file. */
  readonly source: string;
  /** Removes the policies that the text does not have. */
  readonly prune: boolean;
}

export interface ApplyPolicies extends PolicyText {
  /** Applies only this plan. */
  readonly plan?: string | undefined;
  /** Accepts more objects a year than a vault can bear for long. */
  readonly yes: boolean;
}

/** Says what the next revisions of policies would give up. */
export interface GivingUpPreview {
  of(
    stored: readonly PolicyInForce[],
    wanted: readonly PolicyDocument[],
    signal: AbortSignal,
  ): Promise<{ readonly policy: string; readonly points: number; readonly early: number }[]>;
}

/** A plan with what it gives up. */
export interface PreviewedPlan extends PolicyPlan {
  readonly givesUp: Awaited<ReturnType<GivingUpPreview['of']>>;
}

export interface PolicySettings {
  /** Lets policies name commands that run inside guests as their administrator. */
  readonly guestCommands: boolean;
}

export interface PolicyCollaborators {
  readonly rows: PolicyRows;
  readonly care: Pick<CareRevisions, 'list' | 'history'>;
  readonly vaults: Pick<RegisteredVaults, 'list'>;
  /** Returns the VMs that policies may protect. */
  readonly vms: (signal: AbortSignal) => Promise<HostedVm[]>;
  readonly clock: Clock;
  readonly log: Log;
}

interface InForce {
  readonly stored: readonly PolicyInForce[];
  readonly care: readonly CareInForce[];
}

/** What is to be protected, as code: plans, applies, pauses, and remembers who did it. */
export class Policies {
  private preview: GivingUpPreview | undefined;

  constructor(
    private readonly collaborators: PolicyCollaborators,
    private readonly settings: PolicySettings,
  ) {}

  /** Lets plans say what they give up. */
  previewWith(preview: GivingUpPreview): void {
    this.preview = preview;
  }

  /** Lists the policies in force by name. */
  async list(): Promise<PolicyInForce[]> {
    return (await this.collaborators.rows.list()).map(policyInForce);
  }

  /** Lists what is written about the care of vaults, by their names. */
  async care(): Promise<CareInForce[]> {
    return (await this.collaborators.care.list()).map(careInForce);
  }

  /** Lists what was changed in the care of a vault, newest first. */
  async careHistory(vault: string): Promise<StoredCareRevision[]> {
    return this.collaborators.care.history(vault);
  }

  /** Returns the VMs that policies choose from. */
  async vms(signal: AbortSignal): Promise<HostedVm[]> {
    return this.collaborators.vms(signal);
  }

  /** @throws Fault `policy.unknown` */
  async get(name: string): Promise<PolicyInForce> {
    return named(await this.list(), name);
  }

  /** @throws Fault `policy.unknown`, `policy.unreadable` */
  async read(name: string): Promise<KnownPolicy> {
    return readable(await this.get(name));
  }

  /**
   * Returns the policies as the text that makes them again.
   * @throws Fault `policy.unknown`, `policy.unreadable`
   */
  async export(name?: string): Promise<string> {
    const policies = name === undefined ? await this.list() : [await this.get(name)];
    const care = name === undefined ? (await this.care()).filter(isReadableCare) : [];
    return writePolicies(
      policies.map((policy) => readable(policy).document),
      care.map(({ document }) => document),
    );
  }

  /**
   * Lists what was changed, newest first, also of a policy that is gone.
   * @throws Fault `policy.unknown`
   */
  async history(name: string): Promise<StoredRevision[]> {
    const revisions = await this.collaborators.rows.history(name);
    if (revisions.length === 0) {
      throw unknownPolicy(name);
    }
    return revisions;
  }

  /**
   * Says what a text would change, and changes nothing.
   * @throws Fault `policy.invalid`, `policy.commands-refused`
   */
  async plan(request: PolicyText, signal: AbortSignal): Promise<PreviewedPlan> {
    const wanted = await this.readText(request);
    const vms = await this.collaborators.vms(signal);
    const stored = await this.list();
    const documents = wanted.policies.map(({ document }) => document);
    const givesUp = (await this.preview?.of(stored, documents, signal)) ?? [];
    const care = await this.care();
    return { ...this.planOf({ stored, care }, wanted, { vms, prune: request.prune }), givesUp };
  }

  /**
   * Makes the policies those of a text, all or none of them.
   * @throws Fault `policy.invalid`, `policy.commands-refused`, `policy.plan-changed`,
   *   `policy.many-objects`
   */
  async apply(request: ApplyPolicies, signal: AbortSignal): Promise<PolicyPlan> {
    const wanted = await this.readText(request);
    const vms = await this.collaborators.vms(signal);
    const plan = await this.change(async (changes, rows) => {
      const stored = rows.map(policyInForce);
      const care = (await changes.care.list()).map(careInForce);
      const planned = this.planOf({ stored, care }, wanted, { vms, prune: request.prune });
      refuseOther(planned, request.plan);
      refuseMany(planned, request.yes);
      for (const policy of planned.policies) {
        await carryOut(changes, policy, stored, wanted.policies);
      }
      const documents = wanted.care.map(({ document }) => document);
      await changeCare(changes.care, planned.care, { wanted: documents, stored: care });
      return planned;
    });
    const changed = plan.policies.filter(({ action }) => isChange(action));
    for (const { name, action } of changed) {
      this.collaborators.log.info('policy.applied', { policy: name, action });
    }
    for (const { vault, action } of plan.care.filter((care) => isChange(care.action))) {
      this.collaborators.log.info('care.applied', { vault, action });
    }
    return plan;
  }

  /**
   * Stops or begins fire times. Those that pass during a pause are not made up for.
   * @throws Fault `policy.unknown`
   */
  async setPaused(name: string, paused: boolean): Promise<PolicyInForce> {
    await this.change(async (changes, rows) => {
      const policy = named(rows, name);
      if (policy.paused !== paused) {
        await changes.revise(policy, {
          change: paused ? 'paused' : 'resumed',
          document: policy.document,
          paused,
          anew: !paused,
        });
      }
    });
    return this.get(name);
  }

  private async change<T>(
    work: (changes: PolicyChanges, stored: readonly StoredPolicy[]) => Promise<T>,
  ): Promise<T> {
    const { rows, clock } = this.collaborators;
    return rows.change({ author: currentActor(), atMs: clock.nowMs() }, work);
  }

  private planOf(
    { stored, care }: InForce,
    wanted: ReadText,
    rest: { readonly vms: readonly SelectableVm[]; readonly prune: boolean },
  ): PolicyPlan {
    const documents = wanted.policies.map(({ document }) => document);
    const nowMs = this.collaborators.clock.nowMs();
    const wantedCare = wanted.care.map(({ document }) => document);
    const planned = planCare({ stored: care, wanted: wantedCare, prune: rest.prune });
    return planPolicies({ stored, wanted: documents, ...rest, nowMs, care: planned });
  }

  /** Reads a text and refuses what this service cannot do. */
  private async readText({ text, source }: PolicyText): Promise<ReadText> {
    const read = readPolicies(text, source);
    this.refuseCommands(read.policies);
    const vaults = new Set((await this.collaborators.vaults.list()).map(({ name }) => name));
    const problems = unknownNames(read, vaults, await this.care());
    if (problems.length > 0) {
      throw new Fault('policy.invalid', problems.join('\n'), { problems: problems.length });
    }
    return read;
  }

  private refuseCommands(policies: readonly ReadPolicy[]): void {
    const first = policies.find(({ document }) => document.guestCommands !== undefined);
    if (first !== undefined && !this.settings.guestCommands) {
      const commands = commandsOf(first.document).map((words) => JSON.stringify(words));
      throw new Fault(
        'policy.commands-refused',
        `${first.placeOf('guestCommands')}: the policy ${first.document.name} wants to run inside its guests: ${commands.join(', ')}. This service does not allow commands in guests.`,
        { policy: first.document.name },
      );
    }
  }
}

async function carryOut(
  changes: PolicyChanges,
  { name, action }: PlannedPolicy,
  stored: readonly PolicyInForce[],
  wanted: readonly ReadPolicy[],
): Promise<void> {
  const before = stored.find((policy) => policy.name === name);
  const after = wanted.find(({ document }) => document.name === name)?.document;
  if (action === 'create' && after !== undefined) {
    await changes.create(name, after);
  } else if (action === 'change' && before !== undefined && after !== undefined) {
    const anew = !isReadable(before) || isRescheduled(before.document, after);
    await changes.revise(before, { change: 'changed', document: after, anew });
  } else if (action === 'remove' && before !== undefined) {
    await changes.remove(before);
  }
}

function isRescheduled(before: PolicyDocument, after: PolicyDocument): boolean {
  return fieldChanges(before.schedule, after.schedule).length > 0;
}

function isChange(action: PlannedAction): boolean {
  return action !== 'none' && action !== 'left';
}

function refuseOther({ id }: PolicyPlan, asked: string | undefined): void {
  if (asked !== undefined && asked !== id) {
    throw new Fault(
      'policy.plan-changed',
      `The plan is ${id} by now and not ${asked}; policies, VMs or the file changed since.`,
      { plan: id },
    );
  }
}

function refuseMany({ vaults }: PolicyPlan, yes: boolean): void {
  const over = vaults.find((each) => each.permanentObjectsPerYear > PERMANENT_OBJECTS_MAX);
  if (over !== undefined && !yes) {
    const { vault, permanentObjectsPerYear, after } = over;
    const requests = after.at(-1)?.listRequests ?? 0;
    throw new Fault(
      'policy.many-objects',
      `The vault ${vault} would get ${String(permanentObjectsPerYear)} objects a year that stay for good; after five years each look at its points takes ${String(requests)} requests.`,
      { vault, permanentObjectsPerYear },
    );
  }
}

function named<Policy extends { readonly name: string }>(
  policies: readonly Policy[],
  name: string,
): Policy {
  const found = policies.find((policy) => policy.name === name);
  if (found === undefined) {
    throw unknownPolicy(name);
  }
  return found;
}

function readable(policy: PolicyInForce): KnownPolicy {
  if (!isReadable(policy)) {
    const { name, problem } = policy;
    throw new Fault('policy.unreadable', `The policy ${name} cannot be read: ${problem}`, {
      policy: name,
    });
  }
  return policy;
}

function unknownPolicy(name: string): Fault {
  return new Fault('policy.unknown', `There is no policy ${name}; see hyperkeep policy list.`, {
    policy: name,
  });
}
