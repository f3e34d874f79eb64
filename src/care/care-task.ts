import { isReadableCare, type CareInForce } from '../policies/care/care-in-force.ts';
import type { CareCopy, CareDocument } from '../policies/document/care-document.ts';
import { durationMs } from '../policies/document/duration.ts';
import type { PolicyDocument } from '../policies/document/policy-document.ts';
import { Schedule } from '../policies/document/schedule.ts';

export type CareKind = 'prune' | 'scrub' | 'keep' | 'copy';

/** Something that is done for a vault again and again. */
export interface CareTask {
  readonly vaultId: string;
  readonly vaultName: string;
  /** `prune`, `scrub`, `keep`, `copy NAME`. */
  readonly name: string;
  readonly kind: CareKind;
  readonly schedule: Schedule;
  /** Revision of what is written about the care of the vault; 0: nothing is. */
  readonly revision: number;
  /** Nobody wrote about this task. */
  readonly isDefault: boolean;
  readonly budget: NonNullable<CareDocument['prune']>['budget'];
  readonly scrub?: Pick<NonNullable<CareDocument['scrub']>, 'parts' | 'depth'>;
  readonly copy?: CareCopy;
  /** How old a point may become that the copy does not have. */
  readonly withinMs?: number | undefined;
}

/** A vault as far as its care depends on it. */
export interface CaredVault {
  readonly id: string;
  readonly name: string;
  readonly locked?: boolean;
}

/** What decides which care a vault gets. */
export interface CareWishes {
  readonly care: CareInForce | undefined;
  /** Those in force that write into it. */
  readonly policies: readonly PolicyDocument[];
}

const MINUTE_MS = 60_000;
const DAY_MS = 1440 * MINUTE_MS;
const COPY_MS_MIN = 15 * MINUTE_MS;
/** A copy that misses two fire times is still in time. */
const COPIES_WITHIN = 3;

/** At night, each vault at its own minute. */
const DEFAULTS = {
  scrub: Schedule.parse({ cron: '0 1 * * *', jitter: '2h' }),
  prune: Schedule.parse({ cron: '0 3 * * sun', jitter: '2h' }),
  keep: Schedule.parse({ cron: '0 5 * * *', jitter: '1h' }),
  copy: Schedule.parse({ cron: '0 6 * * *', jitter: '1h' }),
} as const satisfies Record<CareKind, Schedule>;

/** Returns what is done for a vault. Nothing, if what is written about it cannot be read. */
export function careTasks(vault: CaredVault, { care, policies }: CareWishes): CareTask[] {
  if (care !== undefined && !isReadableCare(care)) {
    return [];
  }
  const { document, revision = 0 } = care ?? {};
  const common = { vaultId: vault.id, vaultName: vault.name, revision };
  const plain = (['prune', 'scrub', 'keep'] as const).flatMap((kind): CareTask[] => {
    const written = document?.[kind];
    const { schedule = DEFAULTS[kind], budget } = written ?? {};
    const isWanted = kind !== 'keep' || vault.locked === true || written !== undefined;
    const isDefault = written === undefined;
    return isWanted && document?.never?.includes(kind) !== true
      ? [{ ...common, name: kind, kind, schedule, isDefault, budget }]
      : [];
  });
  const { parts, depth } = document?.scrub ?? {};
  return [
    ...plain.map((task) => (task.kind === 'scrub' ? { ...task, scrub: { parts, depth } } : task)),
    ...(document?.copies ?? []).map((copy): CareTask => {
      const withinMs = withinOf(copy, policies);
      const schedule = copy.schedule ?? scheduleWithin(withinMs);
      const name = copyTask(copy.name);
      const { budget } = copy;
      return { ...common, name, kind: 'copy', schedule, isDefault: false, budget, copy, withinMs };
    }),
  ];
}

/** Returns the name of the task that keeps a copy up to date. */
function copyTask(copy: string): string {
  return `copy ${copy}`;
}

/** Returns the shortest time that somebody asks for. */
function withinOf(copy: CareCopy, policies: readonly PolicyDocument[]): number | undefined {
  const asked = policies
    .flatMap(({ copies = [] }) => copies)
    .filter(({ vault }) => vault === copy.name)
    .concat({ vault: copy.name, within: copy.within })
    .flatMap(({ within }) => (within === undefined ? [] : [durationMs(within)]));
  return asked.length === 0 ? undefined : Math.min(...asked);
}

function scheduleWithin(withinMs: number | undefined): Schedule {
  if (withinMs === undefined) {
    return DEFAULTS.copy;
  }
  const everyMs = Math.min(Math.max(withinMs / COPIES_WITHIN, COPY_MS_MIN), DAY_MS);
  return Schedule.parse({ every: `${String(Math.floor(everyMs / MINUTE_MS))}m` });
}
