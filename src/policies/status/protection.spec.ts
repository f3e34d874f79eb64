import { PolicyDocument } from '../document/policy-document.ts';
import type { KnownPolicy } from '../known-policy.ts';
import { guardedVms, protectionOf, type VmProtection } from './protection.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = 1000 * HOUR_MS + 1;

const policy = (name: string, more: object = {}, paused = false): KnownPolicy => ({
  ...{ id: `id-${name}`, name, revision: 1, paused, horizonMs: 0 },
  document: PolicyDocument.parse({
    ...{ name, selector: { all: true }, vault: 'main', schedule: { every: '1h' } },
    ...more,
  }),
});

/** How the VM `vm` is protected, whose newest point is `hours` old in each vault that is named. */
function protectedBy(policies: readonly KnownPolicy[], ages: Record<string, number>): VmProtection {
  const facts = { version: '1', isThis: true, lastSeenMs: 0, isLate: false };
  const host = { id: 'h', name: 'here', ...facts };
  const vms = [{ id: 'vm', name: 'vm', tags: [], host }];
  const [found] = protectionOf(guardedVms(policies, vms), {
    nowMs: NOW_MS,
    vaults: new Map([
      ['main', 'id-main'],
      ['other', 'id-other'],
    ]),
    newestOf: (_, vaultId) => {
      const hours = ages[vaultId.slice('id-'.length)];
      return hours === undefined
        ? undefined
        : { pointId: 'P', takenAtMs: NOW_MS - hours * HOUR_MS };
    },
  });
  if (found === undefined) {
    throw new Error('no VM');
  }
  return found;
}

describe('protectionOf', () => {
  it.each([
    ['a fresh point', { rpo: '4h' }, 4, 'ok'],
    ['a point older than the RPO', { rpo: '4h' }, 4.01, 'late'],
    ['no RPO and one fire time since', {}, 1, 'ok'],
    ['no RPO and two fire times since', {}, 1.5, 'late'],
    ['no point', { rpo: '4h' }, undefined, 'no-point'],
  ])('with %s says so', (_, more, hours, state) => {
    const ages = hours === undefined ? {} : { main: hours };

    expect(protectedBy([policy('p', more)], ages).state).toBe(state);
  });

  it('says when the next point is due, and when the VM is late', () => {
    expect(protectedBy([policy('p', { rpo: '4h' })], { main: 1 }).by).toEqual([
      {
        ...{ policy: 'p', vault: 'main', state: 'ok' },
        newest: { pointId: 'P', takenAtMs: NOW_MS - HOUR_MS },
        lateAtMs: NOW_MS + 3 * HOUR_MS,
        nextFireAtMs: 1001 * HOUR_MS,
      },
    ]);
  });

  it('is as bad as the worst policy that works', () => {
    const second = policy('q', { vault: 'other' });
    const paused = policy('r', { vault: 'other' }, true);

    expect(protectedBy([policy('p'), second], { main: 0, other: 0 }).state).toBe('ok');
    expect(protectedBy([policy('p'), second], { main: 0, other: 9 }).state).toBe('late');
    expect(protectedBy([policy('p'), second], { main: 9 }).state).toBe('no-point');
    expect(protectedBy([policy('p'), paused], { main: 0 }).state).toBe('ok');
    expect(protectedBy([paused], { other: 0 }).state).toBe('paused');
    expect(protectedBy([], {}).state).toBe('unprotected');
    expect(protectedBy([policy('p', { selector: { vms: ['x'] } })], {}).state).toBe('unprotected');
  });

  it('tells of a vault that is not registered', () => {
    expect(protectedBy([policy('p', { vault: 'gone' })], { main: 0 })).toMatchObject({
      state: 'no-point',
      by: [{ problem: 'no vault gone is registered' }],
    });
  });
});
