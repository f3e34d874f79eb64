import { type Command } from 'commander';
import { Fault } from '../kernel/fault.ts';
import { parseBytes } from './amounts.ts';

const HOUR_MS = 3_600_000;
const PERCENT = 100;

/** How a collection decides, as it is typed. */
export interface PruneRuleOptions {
  readonly young?: string;
  readonly grace?: string;
  readonly liveShare?: string;
  readonly rewrite?: string;
}

export interface PruneRules {
  readonly youngMs?: number;
  readonly graceMs?: number;
  readonly liveShare?: number;
  readonly rewriteBytes?: number;
}

export function withPruneRules(command: Command): Command {
  return command
    .option('--young <hours>', 'leave newer packs alone: a backup may be about to need them', '24')
    .option('--grace <hours>', 'wait before anything is removed', '0')
    .option('--live-share <percent>', 'write packs anew of which less is needed', '60')
    .option('--rewrite <amount>', 'read at most this much to write packs anew', '16G');
}

/** @throws Fault `request.invalid` */
export function pruneRules({ young, grace, liveShare, rewrite }: PruneRuleOptions): PruneRules {
  const share = liveShare === undefined ? undefined : numberOf('--live-share', liveShare);
  if (share !== undefined && share > PERCENT) {
    throw new Fault('request.invalid', '--live-share takes a percentage up to 100.');
  }
  return {
    ...(young === undefined ? {} : { youngMs: numberOf('--young', young) * HOUR_MS }),
    ...(grace === undefined ? {} : { graceMs: numberOf('--grace', grace) * HOUR_MS }),
    ...(share === undefined ? {} : { liveShare: share / PERCENT }),
    ...(rewrite === undefined ? {} : { rewriteBytes: parseBytes('--rewrite', rewrite) }),
  };
}

function numberOf(option: string, text: string): number {
  if (!/^\d{1,6}(?:[.]\d{1,3})?$/.test(text)) {
    throw new Fault('request.invalid', `${option} takes a number.`);
  }
  return Number(text);
}
