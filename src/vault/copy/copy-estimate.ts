import { NO_TRAFFIC, type StoreTraffic } from '../object-stores/traffic.ts';
import { THROTTLED_BYTES } from './object-sender.ts';
import type { CopyPlan } from './vault-copy.ts';

const PAGE_ENTRIES = 1000;
/** Once for the plan, once to copy, once to see that nothing vanished. */
const LISTINGS = 3;
/** Small prefixes are listed a few times each. */
const LISTS_MORE = 24;

/** What a copy will take at both sides, about. */
export function estimateCopy(
  { missing, present, points }: CopyPlan,
  options: { readonly limitRate?: string; readonly readBack?: boolean },
): { source: StoreTraffic; target: StoreTraffic } {
  const pages = (objects: number): number => Math.ceil(objects / PAGE_ENTRIES);
  const pieces = options.limitRate === undefined ? 0 : Math.floor(missing.bytes / THROTTLED_BYTES);
  const source = {
    ...NO_TRAFFIC,
    // A seal is asked for its length first.
    gets: missing.objects + points + pieces,
    lists: LISTINGS * pages(missing.objects + present.objects) + LISTS_MORE,
    receivedBytes: missing.bytes,
  };
  const target = {
    ...NO_TRAFFIC,
    puts: missing.objects,
    gets: options.readBack === true ? missing.objects : 0,
    lists:
      pages(present.objects) +
      (LISTINGS - 1) * pages(missing.objects + present.objects) +
      LISTS_MORE,
    sentBytes: missing.bytes,
    receivedBytes: options.readBack === true ? missing.bytes : 0,
  };
  return { source, target };
}
