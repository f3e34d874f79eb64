import { isFault } from '../../../src/kernel/fault.ts';
import { RetryingObjectStore } from '../../../src/vault/object-stores/retrying.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { SimulatedObjectStore } from '../../support/simulated-store/simulated-object-store.ts';
import { SkewedClock } from '../lab.ts';
import type { World } from './world.ts';

export type Role = 'writer' | 'collector' | 'operator' | 'reader' | 'check';

/** How a client may end that meets faults of its store, or what others do. */
const ENDS: readonly string[] = [
  'store.unreachable',
  'store.denied',
  'vault.conflict',
  'vault.point-retired',
];
const COLLECTOR_ENDS: readonly string[] = [...ENDS, 'vault.collect-unsure'];

const DEATHS_MAX = 4;

/** The machines of a schedule: each with its clock, its caches and its way to the store. */
export class Clients {
  readonly #world: World;
  readonly #alive = new Map<string, () => void>();
  #started = 0;
  #running = 0;
  #deaths = 0;

  constructor(world: World) {
    this.#world = world;
  }

  start(role: Role, work: (store: ObjectStore) => Promise<void>): void {
    const { random, scheduler, ledger } = this.#world;
    const client = `${role}-${String(this.#started++)}`;
    this.#running += 1;
    const state = { ended: false };
    work(this.#storeOf(client))
      .catch((error: unknown) => {
        this.#endOf(client, role, error);
      })
      .finally(() => {
        if (!state.ended && !scheduler.isDead(client)) {
          this.#running -= 1;
        }
        state.ended = true;
      })
      .catch((error: unknown) => {
        ledger.problem(`${client}: ${String(error)}`);
      });
    this.#alive.set(client, () => {
      if (!state.ended) {
        scheduler.kill(client);
        this.#running -= 1;
        this.#deaths += 1;
        ledger.count(`${role} died`);
        // Somebody starts the same again.
        if (random(3) > 0) {
          this.start(role, work);
        }
      }
    });
  }

  /**
   * Goes on until all have ended.
   * @param deathRate one client dies in so many steps; 0: none
   */
  async advance(deathRate: number): Promise<void> {
    const { random, scheduler, ledger } = this.#world;
    const hasEnded = await scheduler.run(
      () => this.#running === 0,
      () => {
        if (deathRate > 0 && this.#deaths < DEATHS_MAX && random(deathRate) === 0) {
          this.#killOne();
        }
      },
    );
    if (!hasEnded) {
      const running = String(this.#running);
      ledger.problem(`nothing moves any more, ${running} clients have not ended`);
    }
    this.#alive.clear();
  }

  #killOne(): void {
    const [client, die] = this.#world.drawFrom([...this.#alive]) ?? [];
    if (client !== undefined) {
      this.#alive.delete(client);
      die?.();
    }
  }

  #storeOf(client: string): ObjectStore {
    const { random, scheduler } = this.#world;
    const pageSize = 1 + random(6);
    return new RetryingObjectStore(new SimulatedObjectStore(scheduler, { client, pageSize }), {
      patienceMs: 12,
      firstDelayMs: 1,
      clock: new SkewedClock(0),
      wait: async () => undefined,
      chance: () => 1,
    });
  }

  #endOf(client: string, role: Role, error: unknown): void {
    const { ledger } = this.#world;
    const code = isFault(error) ? error.code : String(error);
    ledger.count(`${role} ended by ${code}`);
    const expected = role === 'collector' ? COLLECTOR_ENDS : ENDS;
    if (!expected.includes(code)) {
      const stack = Error.isError(error) ? (error.stack ?? error.message) : '';
      ledger.problem(`${client} ended with ${code}: ${stack}`);
    }
  }
}
