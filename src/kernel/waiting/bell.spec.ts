import { setImmediate } from 'node:timers/promises';
import { Bell } from './bell.ts';

describe('Bell', () => {
  it('wakes everyone who waits, and those who come later at the next ring', async () => {
    const bell = new Bell();
    const woken: string[] = [];
    const wait = async (name: string): Promise<void> => {
      await bell.wait();
      woken.push(name);
    };
    const waits = [wait('first'), wait('second')];
    await setImmediate();
    expect(woken).toEqual([]);

    bell.ring();
    waits.push(wait('late'));
    await setImmediate();
    expect(woken).toEqual(['first', 'second']);

    bell.ring();
    await Promise.all(waits);
    expect(woken).toEqual(['first', 'second', 'late']);
  });

  it('does not remember a ring that nobody waited for', async () => {
    const bell = new Bell();
    bell.ring();
    let isWoken = false;
    const waiting = bell.wait().then(() => {
      isWoken = true;
    });
    await setImmediate();
    expect(isWoken).toBe(false);
    bell.ring();
    await waiting;
  });
});
