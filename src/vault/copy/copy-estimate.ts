import { Fault } from '../../kernel/fault.ts';
import { NO_TRAFFIC, type StoreTraffic } from '../object-stores/traffic.ts';
import { LIMITED_BYTES } from './object-sender.ts';
import type { CopyPlan, CopyReport } from './copy-report.ts';

const PAGE_ENTRIES = 1000;
/** Packs are listed for the plan, for the copy, and to see that none vanished. */
const LISTINGS = 3;
/** Objects compared per point: the point and its seal. Key objects and formats come on top. */
const COMPARED = 2;
const COMPARED_MORE = 12;
/** Lists of small prefixes, a few times each. */
const LISTS_MORE = 24;

/** Estimates what a copy costs at both stores. */
export function estimateCopy(
  { missing, present, points }: CopyPlan,
  options: { readonly isLimited: boolean; readonly readBack?: boolean },
): { source: StoreTraffic; target: StoreTraffic } {
  const pages = (objects: number): number => Math.ceil(objects / PAGE_ENTRIES);
  const pieces = options.isLimited ? Math.floor(missing.bytes / LIMITED_BYTES) : 0;
  const source = {
    ...NO_TRAFFIC,
    // Asks for the length of a seal before reading it.
    gets: missing.objects + points + pieces + COMPARED * points + COMPARED_MORE,
    lists: LISTINGS * pages(missing.objects + present.objects) + LISTS_MORE,
    receivedBytes: missing.bytes,
  };
  const target = {
    ...NO_TRAFFIC,
    puts: missing.objects,
    gets: (options.readBack === true ? missing.objects : 0) + COMPARED * points + COMPARED_MORE,
    lists:
      pages(present.objects) +
      // And once more before the points count.
      LISTINGS * pages(missing.objects + present.objects) +
      LISTS_MORE,
    sentBytes: missing.bytes,
    receivedBytes: options.readBack === true ? missing.bytes : 0,
  };
  return { source, target };
}

const DAMAGED_SHOWN = 10;

/** Returns the fault for a copy that met damage; undefined if all was whole. */
export function copyFault({ damaged }: CopyReport): Fault | undefined {
  if (damaged.length === 0) {
    return undefined;
  }
  const named = damaged.slice(0, DAMAGED_SHOWN).join(', ');
  const more = damaged.length > DAMAGED_SHOWN ? ', …' : '';
  const objects = damaged.length === 1 ? '1 object' : `${String(damaged.length)} objects`;
  return new Fault(
    'copy.damaged',
    `Everything was copied, but ${objects} of the source or the copy is not what was written: ${named}${more}. Verify both.`,
    { damaged: damaged.length },
  );
}
