import type { Command } from 'commander';
import { PointId } from '../../api/contract/references.ts';
import { GoneObject } from '../../api/contract/upkeep.ts';
import { Fault } from '../../kernel/fault.ts';
import { parseBytes } from '../terminal/amounts.ts';

const HOUR_MS = 3_600_000;
const PERCENT = 100;

/** Rules of a collection, as typed. */
export interface PruneRuleOptions {
  readonly young?: string;
  readonly grace?: string;
  readonly liveShare?: string;
  readonly rewrite?: string;
  readonly thesePointsAreGone?: readonly string[];
  readonly theseObjectsAreGone?: readonly string[];
  readonly allPointsAreListed?: boolean;
}

export interface PruneRules {
  readonly youngMs?: number;
  readonly graceMs?: number;
  readonly liveShare?: number;
  readonly rewriteBytes?: number;
  readonly gonePoints?: string[];
  readonly goneObjects?: string[];
  readonly allPointsAreListed?: boolean;
}

export function withPruneRules(command: Command): Command {
  return command
    .option('--young <hours>', 'leave newer packs alone: a backup may be about to need them', '24')
    .option('--grace <hours>', 'wait before anything is removed', '0')
    .option('--live-share <percent>', 'write packs anew of which less is needed', '60')
    .option('--rewrite <amount>', 'read at most this much to write packs anew', '16G')
    .option(
      '--these-points-are-gone <ids...>',
      'go on without these points, which should be there and are lost for good',
    )
    .option(
      '--these-objects-are-gone <names...>',
      'go on without these aliases and holds, which should be there and are lost for good',
    )
    .option(
      '--all-points-are-listed',
      'you have looked, no point is missing: remove at once, although this machine has not known them for a day',
    );
}

/** @throws Fault `request.invalid` */
export function pruneRules(options: PruneRuleOptions): PruneRules {
  const { young, grace, liveShare, rewrite, allPointsAreListed } = options;
  const { thesePointsAreGone, theseObjectsAreGone } = options;
  const share = liveShare === undefined ? undefined : numberOf('--live-share', liveShare);
  if (share !== undefined && share > PERCENT) {
    throw new Fault('request.invalid', '--live-share takes a percentage up to 100.');
  }
  return {
    ...(young === undefined ? {} : { youngMs: numberOf('--young', young) * HOUR_MS }),
    ...(grace === undefined ? {} : { graceMs: numberOf('--grace', grace) * HOUR_MS }),
    ...(share === undefined ? {} : { liveShare: share / PERCENT }),
    ...(rewrite === undefined ? {} : { rewriteBytes: parseBytes('--rewrite', rewrite) }),
    ...(thesePointsAreGone === undefined ? {} : { gonePoints: thesePointsAreGone.map(pointId) }),
    ...(theseObjectsAreGone === undefined
      ? {}
      : { goneObjects: theseObjectsAreGone.map(objectName) }),
    ...(allPointsAreListed === true ? { allPointsAreListed } : {}),
  };
}

/** Only whole ids: a beginning must not name what is lost for good. */
function pointId(text: string): string {
  const id = text.toUpperCase();
  if (!PointId.safeParse(id).success) {
    throw new Fault('request.invalid', `--these-points-are-gone takes whole ids, not ${text}.`);
  }
  return id;
}

function objectName(text: string): string {
  if (!GoneObject.safeParse(text).success) {
    throw new Fault(
      'request.invalid',
      `--these-objects-are-gone takes names of aliases and holds as the refusal gives them (alias/…, hold/…), not ${text}.`,
    );
  }
  return text;
}

function numberOf(option: string, text: string): number {
  if (!/^\d{1,6}(?:[.]\d{1,3})?$/.test(text)) {
    throw new Fault('request.invalid', `${option} takes a number.`);
  }
  return Number(text);
}
