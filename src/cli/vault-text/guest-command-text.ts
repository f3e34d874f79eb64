import type { GuestCommandReport } from '../../api/contract/jobs.ts';
import { plainText } from '../terminal/plain-text.ts';
import { formatDuration } from '../terminal/quantities.ts';

/** Of what a command printed. The last lines say why it failed; the API has them all. */
const LINES_SHOWN = 10;
const WHEN = { earlier: 'owed since an earlier backup', before: 'before', after: 'after' } as const;

/** Returns how commands in a guest ended, and the end of what each printed. */
export function guestCommandLines(reports: readonly GuestCommandReport[]): string[] {
  return reports.flatMap(({ when, program, exitCode, problem, output, isCut, durationMs }) => {
    const end = exitCode === undefined ? (problem ?? 'not known') : `exit code ${String(exitCode)}`;
    const lines = output.split(/\r?\n/u).filter((line) => line.trim() !== '');
    const shown = lines.slice(-LINES_SHOWN).map((line) => `    ${plainText(line)}`);
    const isWhole = !isCut && lines.length <= LINES_SHOWN;
    return [
      plainText(
        `  in the guest, ${WHEN[when]}: ${program}: ${end} (${formatDuration(durationMs)})`,
      ),
      ...(isWhole ? shown : ['    […]', ...shown]),
    ];
  });
}
