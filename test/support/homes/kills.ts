import { formatTable } from '../../../src/cli/terminal/table.ts';
import type { Moment } from './engine-wire.ts';

/** A step of a backup at which a service can be killed. */
export interface KillStep {
  readonly name: string;
  readonly moment: Moment;
}

/** Every step of a backup that leaves something else behind. */
const KILL_STEPS: readonly KillStep[] = [
  ...both('job claim'),
  ...both('claim'),
  ...both('freeze'),
  { name: 'log', moment: 'after' },
  ...both('W1'),
  ...both('W3'),
  ...both('row'),
];

function both(name: string): KillStep[] {
  return (['before', 'after'] as const).map((moment) => ({ name, moment }));
}

interface Armed<Victim> {
  readonly step: KillStep;
  /** Undefined: whichever comes first. */
  readonly of: Victim | undefined;
  readonly hit: (victim: Victim) => void;
}

/** Counts at which steps services were killed, and says at which one the next is to be. */
export class Kills<Victim> {
  readonly #hits = new Map<string, number>();
  readonly #kill: (victim: Victim) => void;
  #armed: Armed<Victim>[] = [];

  /** @param kill must not return before the victim can do nothing more */
  constructor(kill: (victim: Victim) => void) {
    this.#kill = kill;
  }

  /**
   * Resolves with the service that is killed when it is at that step next.
   * @param of this one; default: whichever comes first
   */
  async at(step: KillStep, of?: Victim): Promise<Victim> {
    const { promise, resolve } = Promise.withResolvers<Victim>();
    this.#armed.push({ step, of, hit: resolve });
    return promise;
  }

  /** Says that a service is at a step. @returns whether it was killed there */
  reached(victim: Victim, { name, moment }: KillStep): boolean {
    const armed = this.#armed.find(({ step, of }) => {
      return step.name === name && step.moment === moment && (of === undefined || of === victim);
    });
    if (armed === undefined) {
      return false;
    }
    this.#armed = this.#armed.filter((each) => each !== armed);
    this.#kill(victim);
    const key = keyOf(armed.step);
    this.#hits.set(key, (this.#hits.get(key) ?? 0) + 1);
    armed.hit(victim);
    return true;
  }

  hits(step: KillStep): number {
    return this.#hits.get(keyOf(step)) ?? 0;
  }

  /** The steps at which the fewest were killed. */
  get rarest(): KillStep[] {
    const least = Math.min(...KILL_STEPS.map((step) => this.hits(step)));
    return KILL_STEPS.filter((step) => this.hits(step) === least);
  }

  get least(): number {
    return Math.min(...KILL_STEPS.map((step) => this.hits(step)));
  }

  table(): string {
    return formatTable(
      [{ title: 'STEP' }, { title: 'KILLED', align: 'right' }],
      KILL_STEPS.map((step) => [keyOf(step), String(this.hits(step))]),
    );
  }
}

function keyOf({ name, moment }: KillStep): string {
  return `${moment} ${name}`;
}
