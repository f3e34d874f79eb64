import { randomUUID } from 'node:crypto';
import type { StoredRun } from '../../catalog/run-rows.ts';
import type { FaultCode } from '../../kernel/fault.ts';
import { afterAttempt } from './after-attempt.ts';

const MINUTE_MS = 60_000;
const rules = { nowMs: 0, untilMs: Infinity, backoffMs: [1, 2, 5, 15].map((m) => m * MINUTE_MS) };

function run(change: Partial<StoredRun> = {}): StoredRun {
  return {
    id: randomUUID(),
    policyId: randomUUID(),
    policyName: 'p',
    revision: 1,
    vmId: 'vm-1',
    vmName: 'web',
    hostId: randomUUID(),
    fireAtMs: 0,
    state: 'running',
    why: null,
    attempt: 1,
    nextTryAtMs: 0,
    jobId: randomUUID(),
    fault: null,
    pointId: null,
    vaultId: null,
    actor: null,
    ...change,
  };
}

const failed = (code: FaultCode | 'internal' | 'cancelled') =>
  ({ state: 'failed', fault: { code, message: 'm', context: {} } }) as const;

describe('afterAttempt', () => {
  it('takes the point of a job that succeeded', () => {
    const end = { state: 'succeeded', result: { pointId: 'P' } } as const;
    expect(afterAttempt(run({ fault: failed('internal').fault }), end, rules)).toEqual({
      state: 'sealed',
      pointId: 'P',
      why: null,
      fault: null,
    });
  });

  it.each([
    [1, 1],
    [2, 2],
    [3, 5],
    [4, 15],
    [9, 15],
  ])('waits after attempt %d for %d min while something is unavailable', (attempt, minutes) => {
    expect(afterAttempt(run({ attempt }), failed('store.unreachable'), rules)).toMatchObject({
      state: 'due',
      nextTryAtMs: minutes * MINUTE_MS,
      fault: { code: 'store.unreachable' },
    });
  });

  it.each(['store.full', 'store.hash-mismatch'] as const)('waits after %s', (code) => {
    expect(afterAttempt(run(), failed(code), rules).state).toBe('due');
  });

  it('ends when the next run of the VM would be due first', () => {
    const end = failed('store.unreachable');
    expect(afterAttempt(run(), end, { ...rules, untilMs: MINUTE_MS }).state).toBe('failed');
    expect(afterAttempt(run(), end, { ...rules, untilMs: MINUTE_MS + 1 }).state).toBe('due');
  });

  it.each(['job.conflict', 'engine.vm-busy', 'vault.vm-busy'] as const)(
    'waits as long as somebody else has the VM (%s), and counts no attempt',
    (code) => {
      const again = run({ attempt: 1, fault: failed(code).fault });
      expect(afterAttempt(again, failed(code), { ...rules, untilMs: 0 })).toMatchObject({
        ...{ state: 'due', why: 'the VM is busy', attempt: 0, nextTryAtMs: MINUTE_MS },
        fault: { code },
      });
    },
  );

  it('tries once more after another conflict', () => {
    const end = failed('vault.conflict');
    expect(afterAttempt(run(), end, rules)).toMatchObject({ nextTryAtMs: MINUTE_MS });
    const again = run({ attempt: 2, fault: failed('vault.keys-changed').fault });
    expect(afterAttempt(again, end, rules)).toMatchObject({ state: 'failed', why: null });
  });

  it.each([
    'store.denied',
    'vault.unknown',
    'vault.not-chosen',
    'vault.store-unfit',
    'vault.damage-found',
    'internal',
    'cancelled',
  ] as const)('does not try again after %s', (code) => {
    expect(afterAttempt(run(), failed(code), rules).state).toBe('failed');
  });

  it('goes on at once with what a stop of the service interrupted', () => {
    const end = { ...failed('job.interrupted'), state: 'interrupted' } as const;
    expect(afterAttempt(run({ attempt: 7 }), end, rules)).toMatchObject({
      state: 'due',
      nextTryAtMs: 0,
    });
    expect(afterAttempt(run(), end, { ...rules, untilMs: 0 }).state).toBe('failed');
  });
});
