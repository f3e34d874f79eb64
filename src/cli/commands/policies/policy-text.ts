import { z } from 'zod';
import type { Policy, PolicyHistory } from '../../../api/contract/policies.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { count } from '../../terminal/quantities.ts';
import { formatTable } from '../../terminal/table.ts';

const ScheduleFields = z.object({
  cron: z.string().optional(),
  every: z.string().optional(),
  zone: z.string().optional(),
});

/** Returns the policies as a table. */
export function policiesText(policies: readonly Policy[]): string {
  if (policies.length === 0) {
    return 'No policies yet: nothing takes points by itself. Make some with: hyperkeep apply -f FILE\n';
  }
  const columns = [
    { title: 'NAME' },
    { title: 'STATE' },
    { title: 'VMS', align: 'right' as const },
    { title: 'SCHEDULE' },
    { title: 'VAULT' },
    { title: 'REVISION', align: 'right' as const },
  ];
  const rows = policies.map(({ name, vms, vault, revision, document, ...policy }) => [
    name,
    stateOf(policy),
    String(vms.length),
    scheduleText(document['schedule']),
    vault,
    String(revision),
  ]);
  const troubles = policies.flatMap(({ name, problem }) =>
    problem === undefined ? [] : [unreadableText(name, problem)],
  );
  return formatTable(columns, rows) + troubles.join('');
}

/** Says why a policy does nothing. */
export function unreadableText(name: string, problem: string): string {
  return plainText(
    `Policy ${name} cannot be read and takes no points: ${problem}. See: hyperkeep explain policy.unreadable`,
  ).concat('\n');
}

/** Returns one policy that cannot be read, as it is stored. */
export function storedPolicyText({ name, document, problem = '' }: Policy): string {
  return `${unreadableText(name, problem)}${plainText(JSON.stringify(document))}\n`;
}

function stateOf({ paused, problem }: Pick<Policy, 'paused' | 'problem'>): string {
  return problem !== undefined ? 'UNREADABLE' : paused ? 'paused' : 'active';
}

/** Returns one policy: what it protects, and how it is written. */
export function policyText({ name, paused, revision, vms }: Policy, text: string): string {
  const state = paused ? 'paused' : 'active';
  return [
    `Policy ${name} is ${state}, revision ${String(revision)}, and protects ${count(vms.length, 'VM')}.\n`,
    ...vms.map((vm) => `  ${plainText(vm)}\n`),
    text,
  ].join('');
}

/** Returns who changed what and when. */
export function historyText(
  { revisions }: PolicyHistory,
  time: (timeMs: number) => string,
): string {
  const columns = ['WHEN', 'WHO', 'REVISION', 'CHANGE', 'FIELDS'].map((title) => ({ title }));
  const rows = revisions.map(({ atMs, author, number, change, fields }) => [
    time(atMs),
    author,
    String(number),
    change,
    fields.map(({ field }) => field).join(', '),
  ]);
  return formatTable(columns, rows);
}

/** Returns when something is due, in the words of its document. */
export function scheduleText(value: unknown): string {
  const { cron, every, zone } = ScheduleFields.safeParse(value).data ?? {};
  return every === undefined ? `${cron ?? ''} ${zone ?? ''}`.trim() : `every ${every}`;
}
