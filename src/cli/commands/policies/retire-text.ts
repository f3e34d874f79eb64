import type {
  AdoptedPoints,
  DecidedPoint,
  PointKeeping,
  PolicyRetirement,
  RetainResult,
} from '../../../api/contract/policy/retention.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { count } from '../../terminal/quantities.ts';
import { formatTable } from '../../terminal/table.ts';
import type { ShowTime } from '../../vault-text/show-time.ts';

type Reason = PointKeeping['because'][number];

interface Shown {
  /** Somebody said yes. */
  readonly isDone: boolean;
  readonly time: ShowTime;
}

/** More fill the screen. */
const POINTS_SHOWN = 100;
const SHORT_ID = 12;

/** Reasons with another wording than their name. */
const KEPT: Readonly<Record<string, (period: string) => string>> = {
  last: (place) => `last (${place})`,
  'minimum-age': (until) => `younger than allowed until ${until}`,
  'at-least': (least) => `one of at least ${least}`,
  'no-rules': () => 'its policy has no retention',
  paused: () => 'its policy is paused',
  'newest-verified': () => 'newest verified',
  newest: () => 'nothing that counts is newer',
  hold: () => 'held',
  lock: (until) => `locked until ${until}`,
  reading: (who) => `being read: ${who}`,
  group: () => 'another point of its set is kept',
  blocked: (why) => `its VM is blocked: ${why}`,
  ahead: () => 'its time lies in the future',
  nobody: (why) => `nobody decides (${UNDECIDED[why] ?? why})`,
};

const GIVEN_UP: Readonly<Record<string, (period: string) => string>> = {
  beyond: () => 'no rule reaches it',
  damaged: () => 'damaged, and newer ones are whole',
  incomplete: () => 'a point of its set is missing',
  extra: () => 'second point of its run',
};

const UNDECIDED: Readonly<Record<string, string>> = {
  'by-hand': 'by hand',
  'other-service': 'of another service',
  'policy-gone': 'its policy was removed',
  'vm-gone': 'its VM is gone',
};

/** Returns why a point is kept, or given up, in a few words. */
export function keepingText({ keep, because }: Pick<PointKeeping, 'keep' | 'because'>): string {
  const words = because.map(({ rule, period }: Reason) =>
    keep
      ? (KEPT[rule]?.(period) ?? `${rule} ${period}`)
      : (GIVEN_UP[rule]?.(period) ?? `newer one in ${rule} ${period}`),
  );
  return [...new Set(words)].join(', ');
}

/** Returns what a policy gives up, or gave up. */
export function retirementText(report: PolicyRetirement, { isDone, time }: Shown): string {
  const { policy, vaultName, due, kept, retired, passedOver, notHere } = report;
  const own = due.filter(({ because }) => because.some((reason) => reason.policy === policy));
  const other = due.length - own.length;
  const end = isDone
    ? `${count(retired.length, 'point')} of policy ${policy} ${retired.length === 1 ? 'was' : 'were'} given up in vault ${vaultName}; ${staying(kept)}.\n`
    : `Policy ${policy} gives up ${count(own.length, 'point')} in vault ${vaultName}; ${staying(kept)}. Nothing was changed; --yes gives them up.\n`;
  return [
    pointsTable(own, time, (point) => keepingText({ keep: false, because: point.because })),
    end,
    other === 0 ? '' : `Other policies give up ${count(other, 'more point')} there.\n`,
    ...passedOver.map(({ pointId, why }) => `${pointId} was left: ${why}\n`),
    notHere === undefined || own.length === 0 ? '' : `Not given up here: ${notHere}.\n`,
    ...troubles(report),
    undecidedText(report, time),
  ]
    .map((line) => line.split('\n').map(plainText).join('\n'))
    .join('');
}

function troubles({ waiting, blocked }: PolicyRetirement): string[] {
  return [
    ...waiting.map(
      ({ policy, revision, points }) =>
        `Revision ${String(revision)} of policy ${policy} waits: it would give up ${count(points, 'point')} that would still be kept in a week. To say yes: hyperkeep policy retire ${policy} --yes\n`,
    ),
    ...blocked.map(({ vmId, why }) => `Nothing of VM ${vmId} is given up: ${why}\n`),
  ];
}

function undecidedText({ undecided, policy }: PolicyRetirement, time: ShowTime): string {
  return undecided.length === 0
    ? ''
    : `\nNobody decides about ${count(undecided.length, 'point')}; they stay. To give some to the policy: hyperkeep policy adopt ${policy} POINT...\n${pointsTable(undecided, time, (point) => keepingText({ keep: true, because: point.because }))}`;
}

function pointsTable(
  points: readonly DecidedPoint[],
  time: ShowTime,
  why: (point: DecidedPoint) => string,
): string {
  if (points.length === 0) {
    return '';
  }
  const columns = ['POINT', 'VM', 'TAKEN', 'WHY'].map((title) => ({ title }));
  const rows = points
    .slice(0, POINTS_SHOWN)
    .map((point) => [
      point.pointId.slice(0, SHORT_ID),
      point.vmName,
      time(point.takenAtMs),
      why(point),
    ]);
  const more = points.length - rows.length;
  return formatTable(columns, rows) + (more > 0 ? `and ${String(more)} more (--json)\n` : '');
}

function staying(kept: number): string {
  return `${count(kept, 'point')} ${kept === 1 ? 'stays' : 'stay'}`;
}

/** Returns which points a policy gets, or got. */
export function adoptedText({ policy, points }: AdoptedPoints, { isDone, time }: Shown): string {
  const columns = ['POINT', 'VM', 'TAKEN'].map((title) => ({ title }));
  const rows = points.map(({ pointId, vmName, takenAtMs }) => [pointId, vmName, time(takenAtMs)]);
  return (
    formatTable(columns, rows) +
    (isDone
      ? `Policy ${policy} decides about ${count(points.length, 'point')} from now on.\n`
      : `Policy ${policy} would decide about ${count(points.length, 'point')}. Nothing was changed; --yes does it.\n`)
  );
}

/** Returns what a job decided. */
export function retainText(result: RetainResult): string {
  const { kept, due, retired, undecided, blocked, waiting, notHere } = result;
  return [
    `${staying(kept)}, ${String(due)} due to be given up, ${String(retired)} given up.\n`,
    undecided === 0 ? '' : `Nobody decides about ${count(undecided, 'point')}.\n`,
    blocked === 0 ? '' : `Nothing is given up of ${count(blocked, 'VM')}.\n`,
    ...waiting.map(
      ({ policy, revision }) =>
        `Revision ${String(revision)} of policy ${policy} waits for a person: hyperkeep policy retire ${policy}\n`,
    ),
    notHere === undefined ? '' : `Not given up here: ${notHere}.\n`,
  ].join('');
}
