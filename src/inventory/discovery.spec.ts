import { once, EventEmitter } from 'node:events';
import { SilentLog } from '../kernel/log.ts';
import { EventLog } from '../../test/support/service/event-log.ts';
import { Discovery } from './discovery.ts';

/** Looks fail or not in this order; afterwards all succeed. */
function lookingAt(...outcomes: boolean[]) {
  const looked = new EventEmitter();
  let count = 0;
  const look = async () => {
    const fails = outcomes[count++] === false;
    looked.emit('look', count);
    return fails ? Promise.reject(new Error('nobody answers')) : [];
  };
  const until = async (number: number): Promise<void> => {
    while (count < number) {
      await once(looked, 'look');
    }
  };
  return { look, until, count: () => count };
}

describe('Discovery', () => {
  it('looks again and again, and says once that it cannot, and that it can again', async () => {
    const vms = lookingAt(true, false, false, true);
    const log = new EventLog();
    await using discovery = new Discovery(vms, log, 1);

    await discovery.begin();
    await vms.until(6);

    expect(log.events).toEqual(['inventory.not-looked', 'inventory.looks-again']);
  });

  it('begins although the first look fails', async () => {
    const vms = lookingAt(false);
    await using discovery = new Discovery(vms, new SilentLog(), 1);

    await discovery.begin();
    await vms.until(2);

    expect(vms.count()).toBeGreaterThanOrEqual(2);
  });

  it('ends a look that goes on when it is disposed of, and looks no more', async () => {
    const begun = Promise.withResolvers<undefined>();
    let looks = 0;
    const look = async (signal: AbortSignal): Promise<never> => {
      looks += 1;
      begun.resolve(undefined);
      await once(signal, 'abort');
      throw signal.reason as Error;
    };
    const log = new EventLog();
    const discovery = new Discovery({ look }, log, 1);
    const first = discovery.begin();
    await begun.promise;

    await discovery[Symbol.asyncDispose]();
    await first;

    expect(looks).toBe(1);
    expect(log.events).toEqual([]);
  });
});
