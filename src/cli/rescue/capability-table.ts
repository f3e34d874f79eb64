import {
  CHECK_NAMES,
  CHECKS,
  type Capabilities,
  type CheckName,
} from '../../vault/probe/capabilities.ts';
import { formatTable } from '../table.ts';

const NEEDED_BY = {
  always: 'every vault',
  writers: 'several writers',
  versions: '--lock, --first-version',
  lock: '--lock',
  nobody: '-',
} as const;

/** What a store was seen to do, for people. */
export function capabilityTable(capabilities: Capabilities): string {
  const { findings, clockSkewMs, leftovers, location } = capabilities;
  const rows = CHECK_NAMES.filter((name) => findings[name] !== undefined).map((name) => [
    CHECKS[name].title,
    findings[name]?.verdict ?? '',
    NEEDED_BY[CHECKS[name].neededBy],
    findings[name]?.detail ?? '',
  ]);
  const table = formatTable(
    [{ title: 'THE STORE' }, { title: 'DOES' }, { title: 'NEEDED FOR' }, { title: 'SEEN' }],
    rows,
  );
  const skew =
    clockSkewMs === undefined
      ? ''
      : `Its clock is ${(Math.abs(clockSkewMs) / 1000).toFixed(1)} s ${clockSkewMs < 0 ? 'behind' : 'ahead'}.\n`;
  const left =
    leftovers === 0
      ? ''
      : `${String(leftovers)} objects of the trial could not be removed: probe/try-… at ${location}\n`;
  return `${table}${skew}${left}`;
}

/** The same as a column of docs/s3-conformance.md. */
export function capabilityMarkdown(capabilities: Capabilities): string {
  const cell = (name: CheckName): string => {
    const finding = capabilities.findings[name];
    const detail = finding?.detail === undefined ? '' : ` (${finding.detail.replaceAll('|', '/')})`;
    return `${finding?.verdict ?? 'not tried'}${detail}`;
  };
  const rows = CHECK_NAMES.map((name) => `| ${CHECKS[name].title} | ${cell(name)} |`);
  return ['| The store | does |', '| --- | --- |', ...rows, ''].join('\n');
}
