import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { openCatalog } from '../../../src/catalog/database/catalog-source.ts';
import { PointCatalog } from '../../../src/catalog/point-catalog.ts';
import { PolicySets } from '../../../src/catalog/policy-sets.ts';
import { VaultRegistrations } from '../../../src/catalog/vault-registrations.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';
import { recoveryPoint } from '../../support/vault/points.ts';

describe('PolicySets', () => {
  let database: TestDatabase;
  let source: DataSource;
  beforeAll(async () => {
    database = await createDatabase();
    source = await openCatalog(database);
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  it('finds the sets of one policy in one vault, oldest first', async () => {
    const points = new PointCatalog(source);
    const [main, copy] = [await registered('main'), await registered('copy')];
    const put = async (vaultId: string, id: string, vmId: string, origin?: object) => {
      const from = { kind: 'group', service: 's', policy: 'shop', ...origin } as const;
      const point = recoveryPoint({ id, vmId, takenAtMs: Number(id), origin: from });
      await points.put(vaultId, point);
    };
    const members = ['db', 'web'];
    await put(main, '11', 'db', { group: 'b', members });
    await put(main, '12', 'web', { group: 'b', members });
    await put(main, '21', 'web', { group: 'c', members });
    await put(main, '01', 'db', { group: 'a' });
    // Of no set, of another policy, and in another vault.
    await put(main, '31', 'db');
    await put(main, '32', 'db', { group: 'd', members, policy: 'rest' });
    await put(copy, '33', 'db', { group: 'c', members });

    const sets = await new PolicySets(source).newest('shop', main);

    expect(
      sets.map(({ groupId, takenAtMs, members: of, missing, isComplete, points: own }) => {
        return [groupId, takenAtMs, of, missing, isComplete, own.map(({ id }) => id)];
      }),
    ).toEqual([
      ['a', 1, [], [], false, ['01']],
      ['b', 11, members, [], true, ['11', '12']],
      ['c', 21, members, ['db'], false, ['21']],
    ]);
  });

  async function registered(name: string): Promise<string> {
    const id = randomUUID();
    const place = { location: `/${name}`, singleWriter: false, createdAtMs: 1 };
    await new VaultRegistrations(source).add({ id, name, ...place });
    return id;
  }
});
