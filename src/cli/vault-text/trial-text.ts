import type { StoreTrial } from '../../api/contract/store-trial.ts';
import { plainText } from '../terminal/plain-text.ts';
import { formatTable } from '../terminal/table.ts';

/** Returns what a store was seen to do. */
export function trialText({ checks, clockSkewMs, leftovers, location }: StoreTrial): string {
  const table = formatTable(
    ['THE STORE', 'DOES', 'NEEDED FOR', 'SEEN'].map((title) => ({ title })),
    checks.map(({ title, verdict, neededFor, seen = '' }) => [title, verdict, neededFor, seen]),
  );
  const skew = clockSkewMs === undefined ? '' : skewText(clockSkewMs);
  const left =
    leftovers === 0
      ? ''
      : `${String(leftovers)} objects of the trial could not be removed: probe/try-… at ${plainText(location)}\n`;
  return `${table}${skew}${left}`;
}

/** Stores give their time in whole seconds, so a smaller difference means nothing. */
function skewText(clockSkewMs: number): string {
  const seconds = Math.round(Math.abs(clockSkewMs) / 1000);
  return seconds <= 1
    ? 'Its clock agrees with that of this machine.\n'
    : `Its clock is about ${String(seconds)} s ${clockSkewMs < 0 ? 'behind' : 'ahead'}.\n`;
}
