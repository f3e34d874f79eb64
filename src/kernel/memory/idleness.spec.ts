import { setTimeout as pause } from 'node:timers/promises';
import { Idleness } from './idleness.ts';

/** Counts the calls, and waits for them. */
class Listener {
  readonly #waiting: (() => void)[] = [];
  said = 0;

  readonly hear = (): void => {
    this.said += 1;
    for (const resolve of this.#waiting.splice(0)) {
      resolve();
    }
  };

  async next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Waits until earlier timers of up to this many milliseconds have fired. */
async function timersUpTo(ms: number): Promise<void> {
  await pause(ms);
  await pause(1);
}

describe('Idleness', () => {
  it('is said when the last one has gone, once', async () => {
    const listener = new Listener();
    const idleness = new Idleness(1, listener.hear);
    const [first, second] = [idleness.enter(), idleness.enter()];

    first[Symbol.dispose]();
    first[Symbol.dispose]();
    await timersUpTo(1);
    expect([idleness.isBusy, listener.said]).toEqual([true, 0]);

    second[Symbol.dispose]();
    await listener.next();
    await timersUpTo(1);
    expect([idleness.isBusy, listener.said]).toEqual([false, 1]);
  });

  it('is said after something small was done, also when that goes on and on', async () => {
    const listener = new Listener();
    const idleness = new Idleness(1, listener.hear);
    const often = setInterval(() => {
      idleness.touch();
    }, 0);

    await listener.next();
    await listener.next();

    clearInterval(often);
  });

  it('is not said while somebody is busy', async () => {
    const listener = new Listener();
    const idleness = new Idleness(1, listener.hear);
    idleness.touch();
    const busy = idleness.enter();
    idleness.touch();

    await timersUpTo(1);

    expect(listener.said).toBe(0);
    busy[Symbol.dispose]();
    await listener.next();
  });

  it('is said at once from when it is to hurry', async () => {
    const listener = new Listener();
    const idleness = new Idleness(2 ** 30, listener.hear);
    idleness.touch();

    idleness.hurry();
    await listener.next();

    const busy = idleness.enter();
    busy[Symbol.dispose]();
    await listener.next();
  });

  it('is not said any more when it was stopped', async () => {
    const listener = new Listener();
    const idleness = new Idleness(1, listener.hear);
    idleness.touch();

    idleness.stop();
    await timersUpTo(1);

    expect(listener.said).toBe(0);
  });
});
