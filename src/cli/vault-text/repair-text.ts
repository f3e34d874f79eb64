import type { RepairReport } from '../../api/contract/upkeep-results.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { plainText } from '../terminal/plain-text.ts';
import { count } from '../terminal/quantities.ts';

const SHOWN = 50;

type ObjectRepair = RepairReport['objects'][number];
type PackRepair = RepairReport['packs'][number];

/**
 * Returns what a repair wrote, or would write.
 * @param scrub the command that looks for damage
 */
export function repairText(report: RepairReport, verb: 'would be' | 'was', scrub: string): string {
  const { objects, packs, unreadablePoints, writtenBytes } = report;
  if (objects.length + packs.length + unreadablePoints.length === 0) {
    return `Nothing is known to be damaged or missing. To look for damage: ${scrub}\n`;
  }
  const lost = packs.filter(({ outcome }) => outcome === 'lost').length;
  return [
    objectRepairsText(objects),
    ...packs.slice(0, SHOWN).map(packText),
    ...unreadablePoints.map((id) => `The map of ${id} cannot be read whole.\n`),
    `${formatBytes(writtenBytes)} ${verb} written; ${count(lost, 'pack')} not whole.\n`,
  ].join('');
}

/** True if the repair would write anything. */
export function isWorthRepairing({ objects, packs, healedLists }: RepairReport): boolean {
  return (
    // An interrupted repair has written packs and not yet noted them.
    healedLists > 0 ||
    packs.some(({ key }) => key !== undefined) ||
    objects.some(({ outcome }) => outcome !== 'left')
  );
}

export function objectRepairsText(objects: readonly ObjectRepair[]): string {
  return objects.slice(0, SHOWN).map(objectText).join('');
}

function objectText({ key, was, outcome, why }: ObjectRepair): string {
  return `${plainText(key)}: ${was}, ${outcome}${why === undefined ? '' : ` (${plainText(why)})`}\n`;
}

function packText({ pack, outcome, healedSlots, lostSlots, bytes }: PackRepair): string {
  const written = bytes > 0 ? `, ${formatBytes(bytes)}` : '';
  return `pack ${pack}: ${outcome}, ${String(healedSlots)} slots healed, ${String(lostSlots)} lost${written}\n`;
}
