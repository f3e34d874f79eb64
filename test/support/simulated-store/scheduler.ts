import { setImmediate } from 'node:timers/promises';
import { Fault } from '../../../src/kernel/fault.ts';
import type { SimulatedBucket } from './bucket.ts';

/** How often things go wrong, each from 0 to 1. */
export interface FaultRates {
  /** The request is lost, or answered with 5xx. */
  readonly lost: number;
  /** The answer is lost: the request took effect. */
  readonly unanswered: number;
  /** The client gives up waiting, and the request takes effect later, or never. */
  readonly late: number;
  /** A body ends early. */
  readonly truncated: number;
  /** A removal is refused. */
  readonly denied: number;
}

export const NO_FAULTS: FaultRates = { lost: 0, unanswered: 0, late: 0, truncated: 0, denied: 0 };

export interface Request {
  readonly client: string;
  readonly kind: 'put' | 'get' | 'list' | 'remove';
  readonly key: string;
  /** Takes effect in the bucket. */
  readonly perform: (bucket: SimulatedBucket) => unknown;
}

interface Pending extends Request {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Once it took effect. */
  answer?: { readonly value: unknown };
}

export interface SchedulerOptions {
  readonly bucket: SimulatedBucket;
  /** Whole numbers from 0 to below the limit. */
  readonly random: (limit: number) => number;
  readonly faults?: FaultRates;
}

/** Steps, on average, until another client is the fast one. */
const CHANGE_AFTER = 40;

/** Turns of the event loop without a request or an end after which a schedule hangs. */
const IDLE_TURNS_MAX = 2000;

/**
 * Decides what happens next in a store with several clients: which request takes effect, which
 * answer arrives, what gets lost. One thing at a time, and only when every client waits, so that
 * the same numbers give the same history.
 */
export class Scheduler {
  readonly bucket: SimulatedBucket;
  readonly history: string[] = [];
  readonly #random: (limit: number) => number;
  #faults: FaultRates;
  readonly #pending: Pending[] = [];
  /** Requests for which nobody waits any more, but which may still take effect. */
  readonly #ghosts: Request[] = [];
  readonly #dead = new Set<string>();
  #favourite: string | undefined;
  steps = 0;

  constructor({ bucket, random, faults = NO_FAULTS }: SchedulerOptions) {
    this.bucket = bucket;
    this.#random = random;
    this.#faults = faults;
  }

  set faults(faults: FaultRates) {
    this.#faults = faults;
  }

  async request<Answer>(
    request: Omit<Request, 'perform'> & { perform: (bucket: SimulatedBucket) => Answer },
  ): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      if (this.#dead.has(request.client)) {
        return;
      }
      this.#pending.push({ ...request, resolve: resolve as (answer: unknown) => void, reject });
    });
  }

  /** Kills the client; each of its running requests takes effect now, later or never. */
  kill(client: string): void {
    this.#dead.add(client);
    this.#note(client, 'dies', '');
    for (let index = this.#pending.length - 1; index >= 0; index--) {
      const pending = this.#pending[index];
      if (pending?.client === client) {
        this.#pending.splice(index, 1);
        if (pending.answer === undefined && changes(pending)) {
          this.#ghosts.push(pending);
        }
      }
    }
  }

  isDead(client: string): boolean {
    return this.#dead.has(client);
  }

  /** Each request without a waiting client takes effect now, or never will. */
  settleGhosts(): void {
    for (const ghost of this.#ghosts.splice(0)) {
      if (this.#random(2) === 0) {
        this.#perform(ghost);
      }
    }
  }

  /**
   * Runs until `done`, with `between` before every step.
   * @returns false if nothing moves any more although it should
   */
  async run(done: () => boolean, between: () => void = () => undefined): Promise<boolean> {
    let idle = 0;
    while (!done()) {
      await setImmediate();
      if (done()) {
        break;
      }
      between();
      if (this.#pending.length === 0) {
        idle += 1;
        if (idle > IDLE_TURNS_MAX) {
          return false;
        }
        continue;
      }
      idle = 0;
      this.steps += 1;
      this.#step();
    }
    return true;
  }

  #step(): void {
    if (this.#ghosts.length > 0 && this.#random(8) === 0) {
      const [ghost] = this.#ghosts.splice(this.#random(this.#ghosts.length), 1);
      if (ghost !== undefined && this.#random(4) > 0) {
        this.#note(ghost.client, `late ${ghost.kind}`, ghost.key);
        this.#perform(ghost);
      }
      return;
    }
    const index = this.#next();
    const pending = this.#pending[index];
    if (pending === undefined) {
      return;
    }
    if (pending.answer !== undefined) {
      this.#pending.splice(index, 1);
      pending.resolve(pending.answer.value);
      return;
    }
    const failure = this.#draw(pending);
    if (failure === undefined) {
      this.#note(pending.client, pending.kind, pending.key);
      const value = this.#perform(pending);
      // Half of the answers arrive at once: schedules are shorter, and no order is lost.
      if (this.#random(2) === 0) {
        this.#pending.splice(index, 1);
        pending.resolve(value);
      } else {
        pending.answer = { value };
      }
      return;
    }
    this.#pending.splice(index, 1);
    this.#note(pending.client, `${pending.kind} (${failure})`, pending.key);
    if (failure === 'unanswered') {
      this.#perform(pending);
    } else if (failure === 'late') {
      this.#ghosts.push(pending);
    }
    pending.reject(faultOf(failure, pending));
  }

  /**
   * Picks any request, but mostly of one client at a time: clients at equal speed meet in few ways,
   * a slow one beside a fast one in many.
   */
  #next(): number {
    const any = this.#random(this.#pending.length);
    if (this.#random(CHANGE_AFTER) === 0) {
      this.#favourite = this.#pending[any]?.client;
    }
    if (this.#favourite === undefined || this.#random(4) === 0) {
      return any;
    }
    const favoured = this.#pending.findIndex(({ client }) => client === this.#favourite);
    return favoured < 0 ? any : favoured;
  }

  #perform(request: Request): unknown {
    return request.perform(this.bucket);
  }

  #draw(pending: Pending): keyof FaultRates | undefined {
    const { lost, unanswered, late, truncated, denied } = this.#faults;
    const drawn = this.#random(1_000_000) / 1_000_000;
    const rates: [keyof FaultRates, number][] = [
      ['lost', lost],
      ['unanswered', unanswered],
      ['late', changes(pending) ? late : 0],
      ['truncated', pending.kind === 'get' ? truncated : 0],
      ['denied', pending.kind === 'remove' ? denied : 0],
    ];
    let sum = 0;
    return rates.find(([, rate]) => (sum += rate) > drawn)?.[0];
  }

  #note(client: string, what: string, key: string): void {
    this.history.push(`${client} ${what} ${key}`);
  }
}

function changes({ kind }: Request): boolean {
  return kind === 'put' || kind === 'remove';
}

function faultOf(failure: keyof FaultRates, { kind, key }: Request): Fault {
  return failure === 'denied'
    ? new Fault('store.denied', `${kind} ${key}: AccessDenied, by the simulation.`, { key })
    : new Fault('store.unreachable', `${kind} ${key}: ${failure}, by the simulation.`, { key });
}
