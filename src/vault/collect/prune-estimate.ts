import { NO_TRAFFIC, type StoreTraffic } from '../object-stores/traffic.ts';
import type { PrunePlan } from './prune-plan.ts';

/**
 * What carrying a plan out takes at the store, about; without the marking, which was paid for by
 * the plan.
 */
export function estimatePrune({ requests, readBytes, writtenBytes }: PrunePlan): StoreTraffic {
  return {
    ...NO_TRAFFIC,
    gets: requests.get,
    puts: requests.put,
    removes: requests.remove,
    sentBytes: writtenBytes,
    receivedBytes: readBytes,
  };
}
