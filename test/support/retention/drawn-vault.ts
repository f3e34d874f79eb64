import { GFS_RULES } from '../../../src/policies/retention/periods.ts';
import type { KeepRules } from '../../../src/policies/retention/keep-rules.ts';
import type {
  Judge,
  JudgedPoint,
  Proven,
  RetentionInput,
} from '../../../src/policies/retention/retention-plan.ts';
import { HARD_ZONES } from '../schedule/hard-zones.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = Date.UTC(2026, 11, 1);

type Number = (limit: number) => number;

/** Draws a vault with points of all kinds, and policies that judge them. */
export function drawnVault(number: Number): RetentionInput {
  const judges = new Map(
    ['a', 'b', 'c'].slice(0, 1 + number(3)).map((name) => [name, drawnJudge(number)]),
  );
  const vms = ['v', 'w', 'x'].slice(0, 1 + number(3));
  const points = vms.flatMap((vmId) => drawnPoints(vmId, [...judges.keys()], number));
  const groups = new Set(points.map(({ group }) => group).filter((group) => group !== undefined));
  return {
    points,
    judges,
    blocked: new Map(number(8) === 0 ? [['w', 'damage']] : []),
    incompleteGroups: new Set([...groups].filter(() => number(5) === 0)),
    nowMs: NOW_MS,
  };
}

function drawnJudge(number: Number): Judge {
  const chosen = GFS_RULES.filter(() => number(2) === 0);
  const rules: KeepRules = {
    zone: HARD_ZONES[number(HARD_ZONES.length)] ?? 'UTC',
    ...Object.fromEntries(
      (chosen.length === 0 ? ['last'] : chosen).map((rule) => [rule, 1 + number(5)]),
    ),
    ...(number(2) === 0 ? { atLeast: 1 + number(12) } : {}),
    ...(number(2) === 0 ? { minimumAgeMs: number(200) * HOUR_MS } : {}),
  };
  return { rules: number(12) === 0 ? undefined : rules, isPaused: number(12) === 0 };
}

function drawnPoints(vmId: string, policies: readonly string[], number: Number): JudgedPoint[] {
  const stepMs = [HOUR_MS / 2, 5 * HOUR_MS, 60 * HOUR_MS][number(3)] ?? HOUR_MS;
  let takenAtMs = NOW_MS + HOUR_MS;
  return Array.from({ length: number(60) }, (_, place) => {
    takenAtMs -= number(2 * stepMs);
    return {
      id: `${vmId}${String(1000 - place)}`,
      ...{ vmId, takenAtMs },
      isHeld: number(15) === 0,
      ...(number(15) === 0 ? { lockedUntilMs: NOW_MS + (number(100) - 50) * HOUR_MS } : {}),
      proven: drawnProof(number),
      ...(number(30) === 0 ? { reader: 'a drill' } : {}),
      isExtra: number(15) === 0,
      ...(number(3) === 0 ? { group: `g${String(number(8))}` } : {}),
      judges:
        number(10) === 0 ? 'by-hand' : policies.filter((_, at) => at === 0 || number(2) === 0),
    };
  });
}

function drawnProof(number: Number): Proven {
  return (['damaged', 'whole', 'unknown', 'unknown', 'unknown'] as const)[number(5)] ?? 'unknown';
}
