import { type StoreTrial } from '../../api/contract/store-trial.ts';
import { plainText } from '../plain-text.ts';
import { formatTable } from '../table.ts';

/** What a store was seen to do. */
export function trialText({ checks, clockSkewMs, leftovers, location }: StoreTrial): string {
  const table = formatTable(
    ['THE STORE', 'DOES', 'NEEDED FOR', 'SEEN'].map((title) => ({ title })),
    checks.map(({ title, verdict, neededFor, seen = '' }) => [title, verdict, neededFor, seen]),
  );
  const skew =
    clockSkewMs === undefined
      ? ''
      : `Its clock is ${(Math.abs(clockSkewMs) / 1000).toFixed(1)} s ${clockSkewMs < 0 ? 'behind' : 'ahead'}.\n`;
  const left =
    leftovers === 0
      ? ''
      : `${String(leftovers)} objects of the trial could not be removed: probe/try-… at ${plainText(location)}\n`;
  return `${table}${skew}${left}`;
}
