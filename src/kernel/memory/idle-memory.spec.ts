import { IdleMemory } from './idle-memory.ts';
import { Log, type LogFields } from '../log.ts';

/** Keeps the events, and tells when memory was given back. */
class KeepingLog extends Log {
  readonly events: string[] = [];
  #returned = Promise.withResolvers<undefined>();

  override error(event: string): void {
    this.events.push(event);
  }

  override info(event: string): void {
    this.events.push(event);
  }

  override warn(event: string): void {
    this.events.push(event);
  }

  override debug(event: string, fields?: LogFields): void {
    this.events.push(event);
    expect(fields).toEqual({
      before: expect.any(Number) as unknown,
      after: expect.any(Number) as unknown,
    });
    this.#returned.resolve(undefined);
    this.#returned = Promise.withResolvers<undefined>();
  }

  async returned(): Promise<void> {
    await this.#returned.promise;
  }
}

describe('IdleMemory', () => {
  it('takes what is given up when nobody works', async () => {
    const log = new KeepingLog();
    const memory = new IdleMemory(log, 1);
    let spare: Uint8Array | undefined = new Uint8Array(1024 * 1024);
    const kept = new WeakRef(spare);
    memory.onRest(async () => {
      spare = undefined;
    });
    const work = memory.enter();
    expect(spare.length).toBeGreaterThan(0);

    work[Symbol.dispose]();
    await log.returned();

    expect(kept.deref()).toBeUndefined();
    expect(log.events).toEqual(['memory.returned']);
  });

  it('asks all to give up, also when one cannot, and again after a request', async () => {
    const log = new KeepingLog();
    const memory = new IdleMemory(log, 1);
    let asked = 0;
    memory.onRest(async () => Promise.reject(new Error('no')));
    memory.onRest(async () => {
      asked += 1;
    });

    memory.touch();
    await log.returned();
    memory.touch();
    await log.returned();

    expect(asked).toBe(2);
    expect(log.events).toEqual([
      ...['memory.not-returned', 'memory.returned'],
      ...['memory.not-returned', 'memory.returned'],
    ]);
  });
});
