import type { Command } from 'commander';
import type { SpendingLimits } from '../../api/contract/spending.ts';
import { parseBytes, parseCount, parseMoney } from '../terminal/amounts.ts';

/** What a job may use before it stops cleanly, as typed. */
export interface LimitOptions {
  readonly maxRequests?: string;
  readonly maxBytes?: string;
  readonly maxCost?: string;
}

export function withLimitOptions(command: Command): Command {
  return command
    .option('--max-requests <n>', 'stop cleanly before more requests than this')
    .option('--max-bytes <amount>', 'stop cleanly when this much was sent and received: 500M, 2G')
    .option('--max-cost <amount>', 'stop cleanly before requests and transfer cost more than this');
}

/** @throws Fault `request.invalid` */
export function limitsOf({ maxRequests, maxBytes, maxCost }: LimitOptions): SpendingLimits {
  return {
    ...(maxRequests === undefined ? {} : { requests: parseCount('--max-requests', maxRequests) }),
    ...(maxBytes === undefined ? {} : { bytes: parseBytes('--max-bytes', maxBytes) }),
    ...(maxCost === undefined ? {} : { cost: parseMoney('--max-cost', maxCost) }),
  };
}
