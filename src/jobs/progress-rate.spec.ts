import { ProgressRate } from './progress-rate.ts';

const reading = (doneBytes: number) => ({ phase: 'reading', doneBytes, totalBytes: 1000 });

describe('ProgressRate', () => {
  it('says nothing about time left before it has seen a second', () => {
    const rate = new ProgressRate();

    rate.add(reading(0), 0);

    expect(rate.add(reading(10), 500)).toEqual({ ...reading(10), rateBytesPerSecond: 20 });
  });

  it('knows the rate and the time left', () => {
    const rate = new ProgressRate();
    rate.add(reading(0), 0);

    expect(rate.add(reading(200), 2000)).toMatchObject({ rateBytesPerSecond: 100, secondsLeft: 8 });
  });

  it('forgets what is more than ten seconds ago', () => {
    const rate = new ProgressRate();
    rate.add(reading(0), 0);
    for (let second = 1; second <= 30; second++) {
      rate.add(reading(500), second * 1000);
    }

    expect(rate.add(reading(500), 31_000)).toMatchObject({ rateBytesPerSecond: 0 });
  });

  it('starts anew with each phase', () => {
    const rate = new ProgressRate();
    rate.add(reading(0), 0);
    rate.add(reading(900), 1000);

    const sealing = rate.add({ phase: 'sealing', doneBytes: 0, totalBytes: 1 }, 2000);

    expect(sealing).toEqual({
      phase: 'sealing',
      doneBytes: 0,
      totalBytes: 1,
      rateBytesPerSecond: 0,
    });
  });
});
