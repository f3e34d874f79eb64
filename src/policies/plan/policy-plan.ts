import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { PolicyDocument } from '../document/policy-document.ts';
import { selectVms, type SelectableVm } from '../document/selector.ts';
import { isReadable, type PolicyInForce } from '../known-policy.ts';
import { fieldChanges, type FieldChange } from './field-changes.ts';
import { forecastVaults, type VaultForecast } from './vault-forecast.ts';

/** What happens to what is written about the care of a vault. */
export interface PlannedCare {
  readonly vault: string;
  readonly action: PlannedAction;
  readonly fields: readonly FieldChange[];
}

/** `left`: it is in force and the text does not have it; only pruning removes it. */
export type PlannedAction = 'create' | 'change' | 'remove' | 'none' | 'left';

/** What happens to one policy. */
export interface PlannedPolicy {
  readonly name: string;
  readonly action: PlannedAction;
  readonly fields: readonly FieldChange[];
  /** Names of the VMs that it protects afterwards; of a removed one, protected until then. */
  readonly vms: readonly string[];
  readonly added: readonly string[];
  readonly dropped: readonly string[];
  /** Commands that would run inside guests, word by word. */
  readonly guestCommands: readonly (readonly string[])[];
}

/** What a text with policies would change. */
export interface PolicyPlan {
  /** Differs if anything of it does. */
  readonly id: string;
  readonly policies: readonly PlannedPolicy[];
  readonly care: readonly PlannedCare[];
  /** VMs that no policy protects afterwards. */
  readonly unprotected: readonly string[];
  readonly vaults: readonly VaultForecast[];
}

export interface PlanInput {
  readonly stored: readonly PolicyInForce[];
  readonly wanted: readonly PolicyDocument[];
  readonly vms: readonly SelectableVm[];
  /** Removes policies that the text does not have. */
  readonly prune: boolean;
  readonly nowMs: number;
  /** What happens to the care of vaults. */
  readonly care: readonly PlannedCare[];
}

/** Plans what would change for which VMs. */
export function planPolicies(input: PlanInput): PolicyPlan {
  const { stored, wanted, vms, prune, nowMs, care } = input;
  const before = new Map(stored.map((policy) => [policy.name, policy]));
  const names = new Set(wanted.map(({ name }) => name));
  const rest = stored.filter(({ name }) => !names.has(name));
  const policies = [
    ...wanted.map((document) => planned(before.get(document.name), document, vms)),
    ...rest.map((policy) => leftOver(policy, prune, vms)),
  ].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const kept = prune ? [] : rest.filter(isReadable);
  const inForce = [...wanted, ...kept.map(({ document }) => document)];
  const selected = inForce.map((document) => ({ document, vms: selectVms(document, vms) }));
  const guarded = new Set(selected.flatMap((each) => each.vms.map(({ id }) => id)));
  const revisions = stored.map(({ id, revision }) => [id, revision]);
  return {
    id: digestOf([revisions, policies, care]),
    policies,
    care,
    unprotected: vms
      .filter(({ id, purpose }) => purpose === undefined && !guarded.has(id))
      .map(({ name }) => name),
    vaults: forecastVaults(
      selected.map((each) => ({ document: each.document, vms: each.vms.length })),
      nowMs,
    ),
  };
}

function planned(
  policy: PolicyInForce | undefined,
  document: PolicyDocument,
  vms: readonly SelectableVm[],
): PlannedPolicy {
  const before = policy !== undefined && isReadable(policy) ? policy.document : undefined;
  const now = selectVms(document, vms);
  const earlier = before === undefined ? [] : selectVms(before, vms);
  const action =
    policy === undefined ? 'create' : isDeepStrictEqual(before, document) ? 'none' : 'change';
  return {
    name: document.name,
    action,
    fields: before === undefined ? [] : fieldChanges(before, document),
    vms: namesOf(now),
    added: namesOf(without(now, earlier)),
    dropped: namesOf(without(earlier, now)),
    guestCommands: action === 'none' ? [] : commandsOf(document),
  };
}

function leftOver(
  policy: PolicyInForce,
  prune: boolean,
  vms: readonly SelectableVm[],
): PlannedPolicy {
  // Nobody knows which VMs a policy chooses that cannot be read.
  const selected = isReadable(policy) ? namesOf(selectVms(policy.document, vms)) : [];
  return {
    name: policy.name,
    action: prune ? 'remove' : 'left',
    ...{ fields: [], vms: selected, added: [], dropped: prune ? selected : [] },
    guestCommands: [],
  };
}

/** Returns the commands of a policy that run inside guests. */
export function commandsOf({ guestCommands }: PolicyDocument): string[][] {
  return [...(guestCommands?.before ?? []), ...(guestCommands?.after ?? [])];
}

function namesOf(vms: readonly SelectableVm[]): string[] {
  return vms.map(({ name }) => name);
}

function without(vms: readonly SelectableVm[], others: readonly SelectableVm[]): SelectableVm[] {
  const ids = new Set(others.map(({ id }) => id));
  return vms.filter(({ id }) => !ids.has(id));
}

const ID_CHARACTERS = 16;

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, ID_CHARACTERS);
}
