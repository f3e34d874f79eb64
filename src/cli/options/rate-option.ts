import { constantRate, type RateLimits } from '../../kernel/rates/rate-limits.ts';
import { parseBytes } from '../terminal/amounts.ts';

export interface RateOptions {
  readonly limitRate?: string;
}

/** For `.option(...)`. */
export const RATE_OPTION = [
  '--limit-rate <amount>',
  'bytes to read per second: 500K, 20M',
] as const;

/** @throws Fault `request.invalid` */
export function rateLimitsOf({ limitRate }: RateOptions): { readonly rateLimits?: RateLimits } {
  return limitRate === undefined
    ? {}
    : { rateLimits: constantRate(parseBytes('--limit-rate', limitRate)) };
}
