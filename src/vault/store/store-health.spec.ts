import { SystemClock } from '../../kernel/clock.ts';
import { SilentLog } from '../../kernel/log.ts';
import { StoreHealth } from './store-health.ts';

const PLACE = { location: 's3://bucket/v', endpoint: 'http://h:1', singleWriter: false };

class EventLog extends SilentLog {
  readonly events: string[] = [];

  override warn(event?: string): void {
    this.events.push(event ?? '');
  }

  override info(event?: string): void {
    this.events.push(event ?? '');
  }
}

function setUp(silentMs = 60_000) {
  const log = new EventLog();
  const health = new StoreHealth(new SystemClock(), log, { silentMs });
  const told: (string | undefined)[] = [];
  health.onChange((_, trouble) => told.push(trouble?.text));
  return { health, log, told };
}

it('says once that a store is away and once that it is back, for all who use it', () => {
  const { health, log, told } = setUp();
  const one = health.watch(PLACE);
  const other = health.watch({ ...PLACE });
  for (const watch of [one, other, one]) {
    watch.asked();
    watch.failed('ECONNREFUSED');
  }
  expect(health.troubleOf(PLACE)?.text).toMatch(/does not answer since [\d:]{8} UTC.*ECONNREFUSED/);
  expect(health.troubleOf({ ...PLACE, endpoint: 'http://h:2' })).toBeUndefined();

  for (const watch of [other, one]) {
    watch.asked();
    watch.answered();
  }

  expect(health.troubleOf(PLACE)).toBeUndefined();
  expect(log.events).toEqual(['store.away', 'store.back']);
  expect(told).toEqual([expect.stringContaining('trying again'), undefined]);
});

it('counts a store that says nothing as away, and one that is not asked as it was', async () => {
  const { health, log } = setUp(20);
  const silence = Promise.withResolvers<undefined>();
  health.onChange(() => {
    silence.resolve(undefined);
  });
  const watch = health.watch(PLACE);
  watch.asked();
  watch.left();

  watch.asked();
  await silence.promise;

  expect(log.events).toEqual(['store.away']);
  watch.answered();
  expect(log.events).toEqual(['store.away', 'store.back']);
});
