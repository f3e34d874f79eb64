import type { PointProven, ScrubReport } from '../../api/contract/upkeep-results.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count } from '../terminal/quantities.ts';
import type { ShowTime } from './show-time.ts';

const SHOWN = 20;

const PROVED = {
  crc: 'their checksums',
  frames: 'every frame decrypted',
  ids: 'every frame decrypted, every chunk id computed',
} as const;

/** Returns what a scrub found damaged; empty if all was whole. */
export function damageText({ damaged, damagedObjects }: ScrubReport): string {
  const packs = damaged.slice(0, SHOWN).map(({ key, why, lostSlots }) => {
    const lost =
      lostSlots === 0 ? 'whole in another generation' : `${String(lostSlots)} slots lost`;
    return `${key}: ${why.join(' ')} (${lost})`;
  });
  const objects = damagedObjects
    .slice(0, SHOWN)
    .map((key) => `${key} is not what a holder of the key wrote.`);
  return [...packs, ...objects].map((line) => `${plainText(line)}\n`).join('');
}

/** Returns what a scrub proved, and when each point was last proven. */
export function scrubText(
  report: ScrubReport,
  points: readonly PointProven[],
  time: ShowTime,
): string {
  const { packs, bytes, totalPacks, totalBytes, depth, damaged } = report;
  if (totalPacks === 0) {
    return 'The vault holds no packs: there was nothing to check.\n';
  }
  const whole = `${String(packs - damaged.length)} of ${count(totalPacks, 'pack')} whole`;
  return [
    `${whole} (${PROVED[depth]}): ${formatBytes(bytes)} of ${formatBytes(totalBytes)} read, least recently checked first.\n`,
    ...points.map(
      (point) => `${point.pointId} of ${plainText(point.vmName)}: ${proofText(point, time)}\n`,
    ),
  ].join('');
}

function proofText({ oldestMs, proven, packs, damaged }: PointProven, time: ShowTime): string {
  if (oldestMs !== undefined) {
    return `last proven ${time(oldestMs)}`;
  }
  return damaged > 0
    ? packs === 0
      ? 'its map cannot be read'
      : `${count(damaged, 'pack')} found damaged`
    : `${String(proven)} of ${count(packs, 'pack')} proven so far`;
}
