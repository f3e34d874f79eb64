import type { FaultCode } from '../../kernel/fault.ts';
import { afterVerification } from './after-verification.ts';

const NOW = 1_000_000;
const failed = (code: FaultCode | 'internal') =>
  ({ state: 'failed', fault: { code, message: 'm', context: {} } }) as const;
const after = (end: Parameters<typeof afterVerification>[1], attempt = 1) =>
  afterVerification({ attempt }, end, { nowMs: NOW, host: 'here' });

describe('afterVerification', () => {
  it('ends with what was found', () => {
    expect(after({ state: 'succeeded', result: { notes: [] } })).toMatchObject({
      ...{ state: 'whole', why: null, endedAtMs: NOW },
    });
    const limited = { state: 'succeeded', result: { notes: ['It left something out.'] } } as const;
    expect(after(limited)).toMatchObject({ state: 'whole', why: 'It left something out.' });
    expect(after(failed('point.damaged'))).toMatchObject({
      ...{ state: 'damaged', endedAtMs: NOW, fault: { code: 'point.damaged' } },
    });
  });

  it('goes on at once after a stop, and counts no attempt', () => {
    expect(after({ state: 'interrupted' }, 3)).toEqual({
      ...{ state: 'due', jobId: null, attempt: 2, nextTryAtMs: NOW },
    });
  });

  it.each(['vault.point-retired', 'vault.point-not-found'] as const)(
    'is skipped after %s',
    (code) => {
      expect(after(failed(code))).toMatchObject({
        state: 'skipped',
        why: 'the point was given up',
      });
    },
  );

  it('is left to another host by one that may not read, which says so', () => {
    expect(after(failed('store.denied'))).toMatchObject({
      ...{ state: 'due', attempt: 0, nextTryAtMs: NOW, why: 'the host here may not read it' },
    });
  });

  it('is tried again while something is away, and then fails', () => {
    const end = failed('store.unreachable');
    expect(after(end, 2)).toMatchObject({ state: 'due', nextTryAtMs: NOW + 5 * 60_000 });
    expect(after(end, 6)).toMatchObject({ state: 'failed', fault: { code: 'store.unreachable' } });
    expect(after(failed('internal'))).toMatchObject({ state: 'failed' });
  });
});
