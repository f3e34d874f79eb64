import { PolicyDocument } from '../document/policy-document.ts';
import type { KnownPolicy } from '../known-policy.ts';
import { planPolicies, type PlanInput } from './policy-plan.ts';

const document = (name: string, more: object = {}): PolicyDocument =>
  PolicyDocument.parse({
    name,
    selector: { vms: [`${name}-*`] },
    vault: 'main',
    schedule: { every: '1d' },
    ...more,
  });

const stored = (name: string, more: object = {}): KnownPolicy => ({
  id: `id-${name}`,
  name,
  revision: 1,
  paused: false,
  horizonMs: 0,
  document: document(name, more),
});

const VMS = ['a-1', 'a-2', 'b-1', 'c-1'].map((name) => ({ id: name, name, tags: [] }));

const plan = (input: Partial<PlanInput>) =>
  planPolicies({ stored: [], wanted: [], vms: VMS, prune: false, nowMs: 0, care: [], ...input });

describe('planPolicies', () => {
  it('tells new, changed, equal, left and removed apart, and for which VMs', () => {
    const input = {
      stored: [stored('a'), stored('b'), stored('c')],
      wanted: [
        document('a', { selector: { vms: ['a-1', 'b-*'] } }),
        document('b'),
        document('new', { selector: { all: true, exclude: { vms: ['c-*'] } } }),
      ],
    };

    expect(plan(input).policies).toMatchObject([
      {
        ...{ name: 'a', action: 'change', added: ['b-1'], dropped: ['a-2'] },
        fields: [{ field: 'selector.vms', before: ['a-*'], after: ['a-1', 'b-*'] }],
      },
      { name: 'b', action: 'none', fields: [], added: [], dropped: [] },
      { name: 'c', action: 'left', vms: ['c-1'], dropped: [] },
      { name: 'new', action: 'create', vms: ['a-1', 'a-2', 'b-1'] },
    ]);
    expect(plan(input).unprotected).toEqual([]);
    const pruned = plan({ ...input, prune: true });
    expect(pruned.policies[2]).toMatchObject({ action: 'remove', dropped: ['c-1'] });
    expect(pruned.unprotected).toEqual(['c-1']);
  });

  it('counts no twin as unprotected', () => {
    const vms = [{ id: 'd', name: 'd', tags: [], purpose: 'drill' as const }];

    expect(plan({ vms }).unprotected).toEqual([]);
  });

  it('has another id when policies, VMs or the text differ, and the same if nothing does', () => {
    const input = { stored: [stored('a')], wanted: [document('a', { rpo: '4h' })] };
    const { id } = plan(input);

    expect(plan({ ...input, nowMs: 5 }).id).toBe(id);
    const others = [
      plan({ ...input, stored: [{ ...stored('a'), revision: 2 }] }),
      plan({ ...input, stored: [stored('a'), stored('b')] }),
      plan({ ...input, wanted: [document('a', { rpo: '5h' })] }),
      plan({ ...input, wanted: [...input.wanted, document('b')] }),
      plan({ ...input, vms: [...VMS, { id: 'a-9', name: 'a-9', tags: [] }] }),
      plan({ ...input, stored: [stored('a'), stored('b')], prune: true }),
    ];
    expect(new Set([id, ...others.map((other) => other.id)]).size).toBe(others.length + 1);
  });

  it('shows commands that would run in guests', () => {
    const guestCommands = { before: [['/bin/a', 'x']], after: [['/bin/b']] };
    const planned = plan({ wanted: [document('a', { guestCommands, retention: { daily: 7 } })] });

    expect(planned.policies[0]?.guestCommands).toEqual([['/bin/a', 'x'], ['/bin/b']]);
  });
});
