import type { PolicySimulation } from '../../../api/contract/policy/simulation.ts';
import { formatBytes } from '../../../kernel/text/bytes.ts';
import { wallOf } from '../../../kernel/time/zone-time.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { count } from '../../terminal/quantities.ts';

type Simulated = PolicySimulation['policies'][number];
type Vault = PolicySimulation['vaults'][number];

const DAYS = 31;
const MANY = 9;

/** Returns what will be there, as a calendar with a line a month and a sign a day. */
export function simulationText({ policies, vaults }: PolicySimulation): string {
  if (policies.length === 0) {
    return 'No policies yet. Make some with: hyperkeep apply -f FILE\n';
  }
  const text = policies.map(policyText).join('\n') + '\n' + vaults.map(vaultText).join('');
  return text.split('\n').map(plainText).join('\n');
}

function policyText(policy: Simulated): string {
  const { points, zone, vms, vault } = policy;
  return [
    `Policy ${policy.policy}: in a year each of its ${count(vms, 'VM')} has ${count(points.length, 'point')} in vault ${vault}\n`,
    rulesText(points),
    calendar(points, zone),
    bytesText(policy),
  ].join('');
}

function rulesText(points: Simulated['points']): string {
  const byRule = Map.groupBy(points, ({ because }) => because[0]?.rule ?? '');
  const parts = [...byRule].toReversed().map(([rule, some]) => `${String(some.length)} ${rule}`);
  return parts.length === 0 ? '' : `  ${parts.join(', ')}\n`;
}

/** A line a month that has points: how many there are of each day. */
function calendar(points: Simulated['points'], zone: string): string {
  const days = points.map(({ takenAtMs }) => new Date(wallOf(zone, takenAtMs)));
  const months = Map.groupBy(days, (day) => day.toISOString().slice(0, 'yyyy-mm'.length));
  return [...months]
    .map(([month, own]) => {
      const line = Array.from({ length: DAYS }, (_, at) => {
        const amount = own.filter((day) => day.getUTCDate() === at + 1).length;
        return amount === 0 ? '.' : amount > MANY ? '+' : String(amount);
      });
      return `  ${month}  ${line.join('')}\n`;
    })
    .join('');
}

function bytesText({ storedBytes, tooEarly, perMonth, vms }: Simulated): string {
  if (vms === 0) {
    return '';
  }
  if (storedBytes === undefined) {
    return `  bytes: too early to say, ${count(tooEarly.length, 'VM')} with fewer than seven points\n`;
  }
  const price =
    perMonth === undefined
      ? ''
      : `, ${perMonth.amount.toFixed(2)} ${perMonth.currency} a month (${perMonth.prices})`;
  return `  bytes: about ${formatBytes(storedBytes)} of all its VMs${price}\n`;
}

function vaultText({ vault, after }: Vault): string {
  return after
    .map(
      ({ years, points, retiredObjects, listRequests }) =>
        `Vault ${vault} after ${count(years, 'year')}: ${count(points, 'point')}, ${count(retiredObjects, 'object')} of points given up that stay for good, ${count(listRequests, 'LIST request')} for a look\n`,
    )
    .join('');
}
