import { writeFile } from 'node:fs/promises';
import { FAULT_ADVICE } from '../../../src/cli/faults/fault-advice.ts';
import { EXIT_CODES, FAULTS, type FaultCode } from '../../../src/kernel/fault.ts';
import { formatted } from '../markdown.ts';

const HEAD = `# Errors

Every failure that Hyperkeep expects has a code, \`area.what-is-wrong\`. The command line shows it with what it
means for your data and what to do next; \`hyperkeep explain CODE\` shows the same text; the HTTP interface answers
it as the title of a problem document (RFC 9457).

The kind decides the exit code of the command line: ${Object.entries(EXIT_CODES)
  .map(([kind, code]) => `${String(code)} ${kind}`)
  .join(', ')}. 70 is a bug of ours, 130 means stopped with Ctrl-C.

What holds for all of them: a recovery point is whole or absent. Nothing half-written is ever shown as one, and what
a stopped backup has stored is not sent again by the next one.

This page is written by \`node test/support/service/errors-page.ts\` from \`src/cli/faults/advice/\`; \`test/docs.spec.ts\`
compares.
`;

/** Returns docs/errors.md as the tables of codes and advice give it. */
export async function errorsPage(): Promise<string> {
  const codes = (Object.keys(FAULTS) as FaultCode[]).sort();
  const sections = codes.map((code) => {
    const { kind, retry } = FAULTS[code];
    const advice = FAULT_ADVICE[code];
    const again = retry === 'later' ? 'may heal by itself' : 'does not heal by itself';
    return [
      `## ${code}\n`,
      `Kind: ${kind} (exit ${String(EXIT_CODES[kind])}), ${again}.\n`,
      `- **What happened:** ${advice?.happened ?? ''}`,
      `- **Your data:** ${advice?.data ?? ''}`,
      `- **What to do:** ${advice?.next ?? ''}\n`,
    ].join('\n');
  });
  return await formatted([HEAD, ...sections].join('\n'));
}

if (import.meta.main) {
  await writeFile(new URL('../../../docs/errors.md', import.meta.url), await errorsPage());
}
