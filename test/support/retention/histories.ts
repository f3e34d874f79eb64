import { readFileSync } from 'node:fs';
import type { KeepRules } from '../../../src/policies/retention/keep-rules.ts';
import { GFS_RULES } from '../../../src/policies/retention/periods.ts';

export type Fate = 'keep' | 'held' | 'give up';

/** Points of one VM, newest first, and what documented rules make of them. */
export interface History {
  readonly rules: KeepRules;
  readonly points: readonly { readonly takenAtMs: number; readonly isHeld: boolean }[];
  readonly fates: readonly Fate[];
}

const FATES: Readonly<Record<string, Fate>> = { k: 'keep', h: 'held', g: 'give up' };

/**
 * Reads 400 histories that were made independently of this project, with the rules that Proxmox
 * Backup Server documents for pruning. A line: zone, rules, the newest time in seconds and the
 * distances to the older ones, fates.
 */
export function knownHistories(): History[] {
  const text = readFileSync(new URL('histories.txt', import.meta.url), 'utf8');
  return text.trimEnd().split('\n').map(parse);
}

function parse(line: string): History {
  const [zone = '', ruleText = '', times = '', fateText = ''] = line.split(' ');
  const counts = new Map(
    ruleText.split(',').map((each) => [each.split('=')[0], Number(each.split('=')[1])]),
  );
  const rules = Object.fromEntries(
    GFS_RULES.flatMap((rule) => {
      const count = counts.get(rule);
      return count === undefined ? [] : [[rule, count]];
    }),
  );
  let atMs = 0;
  const fates = fateText.split(/(?=.)/).map((letter) => FATES[letter] ?? 'keep');
  const points = times.split(',').map((text, place) => {
    const stepMs = Number(text) * 1000;
    atMs = place === 0 ? stepMs : atMs - stepMs;
    return { takenAtMs: atMs, isHeld: fates[place] === 'held' };
  });
  return { rules: { zone, ...rules }, points, fates };
}
