import {
  CHECK_NAMES,
  CHECKS,
  type Capabilities,
  type CheckName,
} from '../../vault/probe/capabilities.ts';

/** Returns what a store was seen to do, as a column of docs/s3-conformance.md. */
export function capabilityMarkdown(capabilities: Capabilities): string {
  const cell = (name: CheckName): string => {
    const finding = capabilities.findings[name];
    const detail = finding?.detail === undefined ? '' : ` (${finding.detail.replaceAll('|', '/')})`;
    return `${finding?.verdict ?? 'not tried'}${detail}`;
  };
  const rows = CHECK_NAMES.map((name) => `| ${CHECKS[name].title} | ${cell(name)} |`);
  return ['| The store | does |', '| --- | --- |', ...rows, ''].join('\n');
}
