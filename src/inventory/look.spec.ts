import { randomUUID } from 'node:crypto';
import { HOST_LATE_MS, type StoredInventory, type StoredVm } from '../catalog/inventory-rows.ts';
import { VmDefinition } from '../vm/definition.ts';
import { planLook, type Look } from './look.ts';

const NOW_MS = 10 * HOST_LATE_MS;
const DEFINITION = VmDefinition.parse({
  id: '11111111-2222-4333-8444-555555555555',
  name: 'web',
  disks: [{ id: randomUUID(), name: 'd', path: '/d.raw', format: 'raw', sizeBytes: 512 }],
});

const host = (id: string, lastSeenMs = NOW_MS) => ({
  ...{ id, name: id, address: null, version: '1', lastSeenMs },
});
const stored = (change: Partial<StoredVm> = {}): StoredVm => ({
  id: 'vm',
  hostId: 'here',
  engine: 'qemu',
  name: 'web',
  status: 'running',
  tags: ['production'],
  firstSeenMs: 1,
  lastSeenMs: NOW_MS - 1000,
  goneAtMs: null,
  ...change,
});
const look = (change: Partial<Look> = {}): Look => ({
  hostId: 'here',
  engine: 'qemu',
  nowMs: NOW_MS,
  vms: [{ id: 'vm', name: 'web', status: 'running', definition: DEFINITION }],
  missing: new Set(),
  ...change,
});
const known = (vm: StoredVm, hosts = [host('here')]): StoredInventory => ({ hosts, vms: [vm] });

interface Case {
  readonly vm?: Partial<StoredVm>;
  readonly look?: Partial<Look>;
  /** What differs in the row that is written; without it none is. */
  readonly row?: Partial<StoredVm>;
  readonly events?: readonly string[];
}

const MISSING = { vms: [], missing: new Set(['vm']) };
const SEEN = { lastSeenMs: NOW_MS };
const cases: [string, Case][] = [
  ['says nothing of a VM that is as it was', {}],
  ['knows a VM again by its id', { vm: { name: 'old' }, row: SEEN, events: ['renamed'] }],
  ['writes another status', { vm: { status: 'stopped' }, row: SEEN }],
  ['says now and then that a VM is there', { vm: { lastSeenMs: 0 }, row: SEEN }],
  ['writes also after the clock was set back', { vm: { lastSeenMs: 1e12 }, row: SEEN }],
  [
    'keeps the name of a VM whose definition cannot be read',
    {
      look: { vms: [{ id: 'vm', name: 'vm', status: 'damaged' }] },
      row: { ...SEEN, status: 'damaged' },
    },
  ],
  ['takes a VM back with its tags', { vm: { goneAtMs: 5 }, row: SEEN, events: ['returned'] }],
  ['says that a VM is gone', { look: MISSING, row: { goneAtMs: NOW_MS }, events: ['gone'] }],
  ['says once that it is gone', { vm: { goneAtMs: 5 }, look: MISSING }],
  ['takes no VM for gone that was only not listed', { look: { vms: [] } }],
  ['takes no VM of another host for gone', { vm: { hostId: 'there' }, look: MISSING }],
];

describe('a look at the VMs of a host', () => {
  it.each(cases)('%s', (_, { vm, look: change, row, events: kinds = [] }) => {
    const { rows, events } = planLook(look(change), known(stored(vm)));

    expect(rows).toEqual(row === undefined ? [] : [stored(row)]);
    expect(events.map(({ kind }) => kind)).toEqual(kinds);
  });

  it('finds a VM, without tags', () => {
    const { rows, events } = planLook(look(), { hosts: [], vms: [] });

    expect(rows).toEqual([stored({ tags: [], firstSeenMs: NOW_MS, lastSeenMs: NOW_MS })]);
    expect(events).toMatchObject([{ kind: 'found' }]);
  });

  it.each([
    ['a host that is gone long ago', stored({ hostId: 'there' }), [host('there', 0)], 'moved'],
    ['a host that is not known', stored({ hostId: 'there' }), [], 'moved'],
    [
      'a host that no longer has it',
      stored({ hostId: 'there', goneAtMs: 1 }),
      [host('there')],
      'returned',
    ],
    ['no host that goes on looking', stored({ hostId: 'there' }), [host('there')], 'elsewhere'],
  ])('takes a VM over from %s', (_, vm, hosts, kind) => {
    const { rows, events } = planLook(look(), known(vm, hosts));

    expect(rows.map(({ hostId, tags }) => [hostId, ...tags])).toEqual(
      kind === 'elsewhere' ? [] : [['here', 'production']],
    );
    expect(events[0]?.kind).toBe(kind);
  });
});
