import { TextBuffer } from '../../../test/support/service/terminal-buffers.ts';
import { MiB } from '../../kernel/text/bytes.ts';
import { Clock } from '../../kernel/clock.ts';
import { ProgressMeter } from './progress-meter.ts';

class StandingClock extends Clock {
  timeMs = 0;

  override nowMs(): number {
    return this.timeMs;
  }

  override monotonicMs(): number {
    return this.timeMs;
  }
}

function setUp(isTTY: boolean) {
  const sink = new TextBuffer(isTTY);
  const clock = new StandingClock();
  const meter = new ProgressMeter(sink, clock);
  /** Reports `doneMib` of 1000 MiB at `second`. */
  const at = (second: number, doneMib: number): void => {
    clock.timeMs = second * 1000;
    meter.report({ phase: 'reading', doneBytes: doneMib * MiB, totalBytes: 1000 * MiB });
    meter.tick();
  };
  return { sink, clock, meter, at };
}

describe('ProgressMeter', () => {
  it('says nothing about what takes less than two seconds', () => {
    const { sink, meter, at } = setUp(true);
    at(0.5, 100);
    at(1.9, 900);

    meter[Symbol.dispose]();

    expect(sink.text).toBe('');
  });

  it('shows share, size, rate and time left on one line of a terminal', () => {
    const { sink, meter, at } = setUp(true);
    at(0, 0);
    at(2, 200);

    expect(sink.text).toBe(
      '\r\u001b[Kreading  [###...............]  20 %  200 MiB of 0.98 GiB  100 MiB/s  8.0 s left',
    );
    meter[Symbol.dispose]();
    expect(sink.text.endsWith('\r\u001b[K')).toBe(true);
  });

  it('says why it does not go on, and no rate', () => {
    const { sink, clock, meter, at } = setUp(false);
    at(0, 0);
    clock.timeMs = 3000;
    const trouble = 'the store does not answer';
    meter.report({ phase: 'reading', doneBytes: MiB, totalBytes: 2 * MiB, trouble });
    meter.tick();
    meter[Symbol.dispose]();

    expect(sink.text).toBe('reading  50 %  1.00 MiB of 2.00 MiB  the store does not answer\n');
  });

  it('writes whole lines every few seconds where there is no terminal', () => {
    const { sink, meter, at } = setUp(false);
    for (let second = 0; second <= 12; second += 1) {
      at(second, second * 10);
    }
    meter[Symbol.dispose]();

    expect(sink.text.split('\n')).toEqual([
      'reading  2 %  20.0 MiB of 0.98 GiB  10.0 MiB/s  1 min 38 s left',
      'reading  7 %  70.0 MiB of 0.98 GiB  10.0 MiB/s  1 min 33 s left',
      'reading  12 %  120 MiB of 0.98 GiB  10.0 MiB/s  1 min 28 s left',
      '',
    ]);
  });

  it('follows a rate that changes and promises nothing when it stands still', () => {
    const { sink, meter, at } = setUp(false);
    at(0, 0);
    at(10, 500);
    at(15, 500);
    at(21, 500);
    meter[Symbol.dispose]();

    const last = sink.text.trimEnd().split('\n').at(-1);
    expect(last).toBe('reading  50 %  500 MiB of 0.98 GiB  0 B/s');
  });
});
