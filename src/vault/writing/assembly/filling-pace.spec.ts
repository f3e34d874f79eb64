import { Clock } from '../../../kernel/clock.ts';
import { FillingPace } from './filling-pace.ts';

class SetClock extends Clock {
  ms = 0;

  override nowMs(): number {
    return this.ms;
  }

  override monotonicMs(): number {
    return this.ms;
  }
}

describe('FillingPace', () => {
  const clock = new SetClock();
  let pace: FillingPace;

  /** Begins a pack after `busyMs` of work and `stalledMs` in which nothing could be filled. */
  function begin(busyMs: number, stalledMs: number): number {
    clock.ms += busyMs;
    if (stalledMs > 0) {
      pace.stall();
      clock.ms += stalledMs / 2;
      pace.stall();
      clock.ms += stalledMs / 2;
    }
    pace.begin();
    return pace.level;
  }

  beforeEach(() => {
    pace = new FillingPace(clock);
  });

  it('counts a stall from its first notice to the next pack, for the pack before', () => {
    expect(begin(5, 1000)).toBe(2);
    expect(begin(700, 300)).toBe(3);
    expect(begin(800, 200)).toBe(3);
    expect(begin(1000, 0)).toBe(2);
  });

  it('keeps a level that was asked for', () => {
    pace = new FillingPace(clock, 1);
    expect([begin(0, 0), begin(500, 500)]).toEqual([1, 1]);
  });
});
