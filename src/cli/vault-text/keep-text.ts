import type { KeepReport } from '../../api/contract/upkeep-results.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count } from '../terminal/quantities.ts';

const SHOWN = 20;

/** Returns how the locks of needed objects were extended. */
export function keepText(report: KeepReport): string {
  const { needed, extended, refused, tampered, unsure, requests } = report;
  const lines = [
    `${count(needed, 'object')} needed, ${String(extended)} extended; ${count(requests.lists, 'list')}, ${count(requests.gets, 'read')}, ${count(requests.locks, 'lock')}.`,
    ...(unsure
      ? ['A recovery point could not be read, so everything counts as needed: run verify.']
      : []),
    ...refused.slice(0, SHOWN).map((key) => `not extended: ${plainText(key)}`),
    ...tampered
      .slice(0, SHOWN)
      .map(
        (key) =>
          `written over or removed by somebody, its first version is kept: ${plainText(key)}`,
      ),
  ];
  return `${lines.join('\n')}\n`;
}
