import type { Job } from '../../api/contract/jobs.ts';
import type { DestroyPlan, DestroyReport } from '../../api/contract/destroy/destroy-result.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count } from '../terminal/quantities.ts';
import type { ShowTime } from './show-time.ts';

type Result = Extract<NonNullable<Job['result']>, { kind: 'destroy' }>;

/** Returns what destroying a vault would remove, or what it removed. */
export function destroyText({ plan, report }: Result, time: ShowTime): string {
  const lines = [
    ...(plan === undefined ? [] : planLines(plan, time)),
    ...(report === undefined ? [] : reportLines(report)),
  ];
  return lines.map((line) => `${plainText(line)}\n`).join('');
}

function planLines(plan: DestroyPlan, time: ShowTime): string[] {
  const { vault, location, points, objects, bytes, inTheWay, begunAtMs } = plan;
  return [
    `Destroying the vault ${vault} at ${location} removes ${count(points, 'recovery point')} for good: ${count(objects, 'object')}, ${formatBytes(bytes)}.`,
    ...(begunAtMs === undefined ? [] : [`It was begun ${time(begunAtMs)}; this is what is left.`]),
    ...elsewhereLines(plan),
    ...policyLines(plan),
    ...keptLines(plan.kept, time),
    ...foreignLines(plan.foreign),
    ...inTheWay.jobs.map((job) => `In the way: the job ${job}`),
    ...inTheWay.readers.map((reader) => `In the way: ${reader} reads from it`),
    ...(inTheWay.holds > 0 ? [`In the way: ${count(inTheWay.holds, 'hold')}`] : []),
  ];
}

function elsewhereLines({ elsewhere }: DestroyPlan): string[] {
  return elsewhere.length === 0
    ? ['No other vault that is known here has any of its points.']
    : elsewhere.map(({ vault, points }) => `${count(points, 'point')} of it stay in ${vault}.`);
}

function policyLines({ policies }: DestroyPlan): string[] {
  return policies.map(({ name, copiesOnly }) =>
    copiesOnly
      ? `The policy ${name} wants copies there.`
      : `The policy ${name} keeps its points there: its runs fail until it names another vault.`,
  );
}

function keptLines(kept: DestroyPlan['kept'], time: ShowTime): string[] {
  if (kept === undefined) {
    return [];
  }
  const { versions, locks, isUnknown } = kept;
  if (isUnknown) {
    return [
      'These credentials may not ask for locks and versions: the bucket may keep what is removed, and its bytes.',
    ];
  }
  return [
    ...(locks === undefined || locks.locked === 0
      ? []
      : [
          `Locks: the store keeps ${String(locks.locked)} of ${count(locks.asked, 'object')} that were asked until ${time(locks.untilMs)} at the latest. They are hidden and cost as before.`,
        ]),
    ...(versions
      ? ['The bucket keeps versions: what is removed takes space until its rules remove it.']
      : []),
  ];
}

function foreignLines({ objects, bytes, names }: DestroyPlan['foreign']): string[] {
  return objects === 0
    ? []
    : [
        `What is of no vault stays: ${count(objects, 'object')}, ${formatBytes(bytes)} (${names.join(', ')}${objects > names.length ? ', …' : ''}).`,
      ];
}

function reportLines({ removed, denied, foreign }: DestroyReport): string[] {
  return [
    `Removed ${count(removed.objects, 'object')}, ${formatBytes(removed.bytes)}.`,
    ...Object.entries(denied).map(
      ([name, { objects, bytes }]) =>
        `These credentials may not remove ${name}: ${count(objects, 'object')}, ${formatBytes(bytes)} are left. The owner of the bucket can.`,
    ),
    ...foreignLines(foreign),
  ];
}
