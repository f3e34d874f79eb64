import { NO_TRAFFIC, type StoreTraffic } from '../../object-stores/traffic.ts';
import type { PrunePlan } from './prune-plan.ts';

/**
 * Estimates what carrying out a plan costs at the store, without the marking, which planning paid
 * for.
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
