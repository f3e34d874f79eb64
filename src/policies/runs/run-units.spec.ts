import type { StoredRun } from '../../catalog/run-rows.ts';
import { PolicyDocument } from '../document/policy-document.ts';
import { labVm } from '../../../test/support/schedule/run-lab.ts';
import type { KnownPolicy } from '../known-policy.ts';
import { runOf } from './firing.ts';
import { unitsOf } from './run-units.ts';

const policy = (name: string, more: object = {}): KnownPolicy => ({
  ...{ id: name, name, revision: 1, paused: false, horizonMs: 0 },
  document: PolicyDocument.parse({
    ...{ name, selector: { all: true }, vault: 'main', schedule: { every: '1h' } },
    ...more,
  }),
});
const GROUP = policy('shop', { group: {} });
const ALONE = policy('rest');
const run = (of: KnownPolicy, name: string, fireAtMs = 1): StoredRun =>
  runOf(of, labVm(name), fireAtMs);

describe('unitsOf', () => {
  const names = (startable: readonly [KnownPolicy, StoredRun][], waiting: readonly StoredRun[]) =>
    unitsOf(
      startable.map(([of, each]) => ({ policy: of, run: each })),
      [...startable.map(([, each]) => each), ...waiting],
    ).map(({ runs }) => runs.map(({ vmName }) => vmName).join('+'));

  it('puts the VMs of a group together, at the place of the first, and leaves others alone', () => {
    const found = names(
      [
        [ALONE, run(ALONE, 'x')],
        [GROUP, run(GROUP, 'db')],
        [ALONE, run(ALONE, 'y')],
        [GROUP, run(GROUP, 'web')],
      ],
      [],
    );

    expect(found).toEqual(['x', 'db+web', 'y']);
  });

  it('starts no part of a group: what has not ended and may not start holds all', () => {
    const db: [KnownPolicy, StoredRun] = [GROUP, run(GROUP, 'db')];

    expect(names([db], [run(GROUP, 'web')])).toEqual([]);
    expect(names([db], [run(GROUP, 'web', 2), run(ALONE, 'web')])).toEqual(['db']);
  });
});
