import type { KnownPolicy } from '../known-policy.ts';
import { PolicyDocument } from '../document/policy-document.ts';
import { dueVerifications, verificationRows } from './due-verifications.ts';

const DAY_MS = 86_400_000;
const NOW = 100 * DAY_MS;
const VMS = ['a', 'b'].map((id) => ({ id, name: id, tags: [] }));

function policy(more: object = {}, paused = false): KnownPolicy {
  const document = PolicyDocument.parse({
    ...{ name: 'p', selector: { all: true }, vault: 'main', schedule: { every: '1d' } },
    verification: { every: '7d', level: 2 },
    ...more,
  });
  const stored = { id: 'P', name: 'p', revision: 1, paused, horizonMs: 0 };
  return { ...stored, document };
}

const before = (vmId: string, daysAgo: number, isOpen = false) => ({
  ...{ policyId: 'P', vmId, dueAtMs: NOW - daysAgo * DAY_MS, isOpen },
});

function due(last: ReturnType<typeof before>[], policies = [policy()]): [string, number][] {
  const vaults = new Map([['main', 'V']]);
  return dueVerifications(policies, { vms: VMS, vaults, last, nowMs: NOW }).map(
    ({ vmId, dueAtMs }) => [vmId, (NOW - dueAtMs) / DAY_MS],
  );
}

describe('verifications of policies', () => {
  it('are due at once the first time, then each time the duration has passed', () => {
    expect(due([])).toEqual([
      ['a', 0],
      ['b', 0],
    ]);
    expect(due([before('a', 6), before('b', 7)])).toEqual([['b', 0]]);
  });

  it('are done once for all that was missed, in the rhythm of before', () => {
    expect(due([before('a', 24), before('b', 1)])).toEqual([['a', 3]]);
  });

  it('are not due while one is open, the policy rests, or has no vault or no verification', () => {
    expect(due([before('a', 30, true), before('b', 0)])).toEqual([]);
    const others = [{ vault: 'other' }, { verification: undefined }].map((more) => policy(more));
    expect(due([], [policy({}, true), ...others])).toEqual([]);
  });

  it('have one key per policy, VM and time, and need a point', () => {
    const wanted = dueVerifications([policy()], {
      ...{ vms: VMS, vaults: new Map([['main', 'V']]), last: [], nowMs: NOW },
    });
    const point = { vaultId: 'V', vmId: 'a', pointId: 'X', takenAtMs: 1 };
    const rows = verificationRows(wanted, [point]);
    expect(rows).toMatchObject([{ key: `policy P a ${String(NOW)}`, pointId: 'X', level: 2 }]);
  });
});
