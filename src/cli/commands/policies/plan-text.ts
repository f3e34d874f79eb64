import type { PolicyPlan } from '../../../api/contract/policies.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { count } from '../../terminal/quantities.ts';

type Planned = PolicyPlan['policies'][number];
type Forecast = PolicyPlan['vaults'][number];

/** Names of more VMs fill the screen. */
const NAMES_MAX = 12;

/** Returns what a plan changes, or changed, for people. */
export function planText(plan: PolicyPlan, { applied }: { readonly applied: boolean }): string {
  const { policies, vaults, unprotected, givesUp = [] } = plan;
  const same = policies.filter(({ action }) => action === 'none').length;
  const text = [
    ...policies.map(policyLines),
    same === 0
      ? ''
      : `${count(same, 'policy', 'policies')} ${same === 1 ? 'stays' : 'stay'} as before.\n`,
    ...plan.care.map(careLines),
    ...givesUp.map(givesUpLine),
    ...vaults.map(vaultLine),
    unprotected.length === 0 ? '' : `Protected by no policy: ${listOf(unprotected)}\n`,
    applied
      ? `Applied: ${summaryOf(policies)}.\n`
      : `Plan ${plan.id}: ${summaryOf(policies)}. Nothing was changed; --plan ${plan.id} applies this and nothing else.\n`,
  ];
  return text.map((line) => line.split('\n').map(plainText).join('\n')).join('');
}

function careLines({ vault, action, fields }: PolicyPlan['care'][number]): string {
  const heads: Record<Planned['action'], string> = {
    create: `+ care of ${vault}: new\n`,
    change: `~ care of ${vault}: changed\n`,
    remove: `- care of ${vault}: removed, done as by default from then on\n`,
    left: `  care of ${vault}: not in the file, stays as before (--prune removes it)\n`,
    none: '',
  };
  return heads[action] + fields.map((field) => `    ${fieldText(field)}\n`).join('');
}

function fieldText({ field, before, after }: Planned['fields'][number]): string {
  return `${field}: ${valueText(before)} -> ${valueText(after)}`;
}

function policyLines(policy: Planned): string {
  const { name, action, fields, vms, added, dropped, guestCommands } = policy;
  const moved = [
    ...(added.length === 0 || action === 'create' ? [] : [`begins to protect ${listOf(added)}`]),
    ...(dropped.length === 0 || action === 'remove'
      ? []
      : [`ceases to protect ${listOf(dropped)}`]),
  ];
  const details = [
    ...fields.map(fieldText),
    ...moved,
    ...guestCommands.map((words) => `runs in each guest: ${JSON.stringify(words)}`),
  ];
  const heads: Record<Planned['action'], string> = {
    create: `+ ${name}: new, protects ${vmsText(vms)}\n`,
    change: `~ ${name}: changed, protects ${vmsText(vms)}\n`,
    remove: `- ${name}: removed, no longer protects ${vmsText(vms)}\n`,
    left: `  ${name}: not in the file, stays as before (--prune removes it)\n`,
    none: '',
  };
  return heads[action] + details.map((detail) => `    ${detail}\n`).join('');
}

function givesUpLine({
  policy,
  points,
  early,
}: NonNullable<PolicyPlan['givesUp']>[number]): string {
  const waits =
    early === 0
      ? ''
      : `; ${String(early)} of them would still be kept in a week, so it waits for hyperkeep policy retire ${policy} --yes`;
  return `Policy ${policy} gives up ${count(points, 'point')} that it keeps now${waits}\n`;
}

function vaultLine({ vault, pointsPerYear, after }: Forecast): string {
  const last = after.at(-1);
  return last === undefined || pointsPerYear === 0
    ? ''
    : `Vault ${vault}: about ${String(pointsPerYear)} points a year; after ${String(last.years)} years it has ${String(last.points)}, ${String(last.retiredObjects)} given up, and a look at them takes ${count(last.listRequests, 'request')}.\n`;
}

function summaryOf(policies: readonly Planned[]): string {
  const words = [
    ['create', 'new'],
    ['change', 'changed'],
    ['remove', 'removed'],
  ] as const;
  return words
    .map(([action, word]) => {
      const amount = policies.filter((policy) => policy.action === action).length;
      return `${String(amount)} ${word}`;
    })
    .join(', ');
}

function vmsText(vms: readonly string[]): string {
  return vms.length === 0 ? 'no VM now' : `${count(vms.length, 'VM')}: ${listOf(vms)}`;
}

function listOf(names: readonly string[]): string {
  const more = names.length - NAMES_MAX;
  const shown = names.slice(0, NAMES_MAX).join(', ');
  return more > 0 ? `${shown} and ${String(more)} more` : shown;
}

function valueText(value: unknown): string {
  return value === undefined
    ? 'nothing'
    : typeof value === 'string'
      ? value
      : JSON.stringify(value);
}
