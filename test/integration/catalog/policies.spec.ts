import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { NewestPoints } from '../../../src/catalog/newest-points.ts';
import { PointCatalog } from '../../../src/catalog/point-catalog.ts';
import { PolicyRows } from '../../../src/catalog/policy-rows.ts';
import { VaultRegistrations } from '../../../src/catalog/vault-registrations.ts';
import { withCatalog } from '../../support/service/with-catalog.ts';

let source: DataSource;
withCatalog((opened) => {
  source = opened;
});

const by = (atMs: number, author = 'ann') => ({ author, atMs });

describe('PolicyRows', () => {
  const stored = async (name: string) => {
    const found = (await new PolicyRows(source).list()).find((policy) => policy.name === name);
    if (found === undefined) {
      throw new Error(`no policy ${name}`);
    }
    return found;
  };

  it('keeps a revision of every change, also of one that was removed and made again', async () => {
    const rows = new PolicyRows(source);
    const document = (rpo: string) => ({ name: 'a', rpo });

    await rows.change(by(1), async (changes) => changes.create('a', document('1h')));
    const first = await stored('a');
    await rows.change(by(2, 'bob'), async (changes) =>
      changes.revise(first, { change: 'changed', document: document('2h') }),
    );
    expect(await stored('a')).toMatchObject({ revision: 2, document: document('2h') });
    const second = await stored('a');
    await rows.change(by(3), async (changes) => changes.remove(second));
    await rows.change(by(4), async (changes) => changes.create('a', document('3h')));

    const history = await rows.history('a');
    expect(
      history.map(({ number, change, author, atMs }) => [number, change, author, atMs]),
    ).toEqual([
      [1, 'created', 'ann', 4],
      [3, 'removed', 'ann', 3],
      [2, 'changed', 'bob', 2],
      [1, 'created', 'ann', 1],
    ]);
    expect(history.map((revision) => revision.document)).toEqual(
      ['3h', '2h', '2h', '1h'].map(document),
    );
    expect(new Set(history.map(({ policyId }) => policyId)).size).toBe(2);
  });

  it('moves the horizon on when it is told to, and never back', async () => {
    const rows = new PolicyRows(source);
    const document = { name: 'b' };
    await rows.change(by(100), async (changes) => changes.create('b', document));
    const revise = async (atMs: number, anew: boolean) => {
      const policy = await stored('b');
      await rows.change(by(atMs), async (changes) =>
        changes.revise(policy, { change: 'paused', document, paused: !policy.paused, anew }),
      );
      return stored('b');
    };

    expect(await revise(200, false)).toMatchObject({ paused: true, horizonMs: 100 });
    expect(await revise(300, true)).toMatchObject({ paused: false, horizonMs: 300 });
    expect(await revise(50, true)).toMatchObject({ horizonMs: 300 });
  });

  it('changes nothing when the work fails, and one after the other when two come at once', async () => {
    const rows = new PolicyRows(source);
    const seen: number[] = [];
    const create = async (name: string) =>
      rows.change(by(1), async (changes, present) => {
        seen.push(present.filter((policy) => policy.name.startsWith('c')).length);
        await changes.create(name, { name });
      });

    await expect(
      rows.change(by(1), async (changes) => {
        await changes.create('c0', { name: 'c0' });
        throw new Error('changed my mind');
      }),
    ).rejects.toThrow('changed my mind');
    await Promise.all(['c1', 'c2', 'c3'].map(create));

    expect(seen).toEqual([0, 1, 2]);
    expect(await rows.history('c0')).toEqual([]);
  });
});

describe('NewestPoints', () => {
  it('gives the newest point of each VM in its vault, but none of the future', async () => {
    const points = new PointCatalog(source);
    const vaults = [randomUUID(), randomUUID()];
    const registrations = new VaultRegistrations(source);
    for (const id of vaults) {
      const place = { name: id, location: `/v/${id}`, singleWriter: false, createdAtMs: 1 };
      await registrations.add({ id, ...place });
    }
    const [one = '', two = ''] = vaults;
    const put = async (vaultId: string, id: string, vmId: string, takenAtMs: number) =>
      points.put(vaultId, {
        ...{ id, vmId, vmName: vmId, takenAtMs, consistency: 'crash' },
        ...{ notes: [], disks: [], files: [] },
      });
    await put(one, 'P1', 'vm-1', 1000);
    await put(one, 'P2', 'vm-1', 2000);
    await put(one, 'P9', 'vm-1', 9000);
    await put(two, 'P3', 'vm-1', 3000);
    await put(one, 'P4', 'vm-2', 4000);
    const asked = [
      { vmId: 'vm-1', vaultId: one },
      { vmId: 'vm-2', vaultId: two },
      { vmId: 'vm-1', vaultId: two },
    ];

    expect(await new NewestPoints(source).of(asked, 5000)).toEqual([
      { vmId: 'vm-1', vaultId: one, pointId: 'P2', takenAtMs: 2000 },
      { vmId: 'vm-1', vaultId: two, pointId: 'P3', takenAtMs: 3000 },
    ]);
    expect(await new NewestPoints(source).of([], 5000)).toEqual([]);
  });
});
