import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Vm, VmList } from '../../../src/api/contract/vms.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { TestService } from '../../support/service/service.ts';

const { signal } = new AbortController();
let engine: FakeEngine;
let service: TestService;
beforeEach(async () => {
  engine = new FakeEngine();
  service = await TestService.start(engine);
});
afterEach(async () => {
  await service.remove();
});

async function hyperkeep(...parameters: string[]): Promise<CliRun> {
  return await cliRun(parameters, {
    folder: service.home,
    signal,
    environment: { readSettings: () => ({ homeFolder: service.home }) },
  });
}

async function add(name: string, id: string = randomUUID()): Promise<string> {
  const disk = { id: randomUUID(), name: 'd', path: `/d/${id}.raw`, format: 'raw', sizeBytes: 512 };
  await engine.add(VmDefinition.parse({ id, name, disks: [disk] }), signal);
  return id;
}

const vms = async (query = ''): Promise<Vm[]> =>
  VmList.parse((await service.get(`/vms${query}`)).body).vms;

describe('the list of VMs', () => {
  it('says which host each is on, and keeps tags through a restart and a lost VM', async () => {
    const id = await add('web');
    const hostId = (await readFile(join(service.home, 'host-id'), 'utf8')).trim();

    const tagged = await hyperkeep('vm', 'tag', 'web', 'production', 'tier:1', '--json');
    const fewer = await hyperkeep('vm', 'tag', 'web', 'tier:1', '--remove');
    await service.restart();
    const table = await hyperkeep('vm', 'list');

    expect(tagged).toMatchObject({ exitCode: 0 });
    expect(Vm.parse(JSON.parse(tagged.stdout)).tags).toEqual(['production', 'tier:1']);
    expect(fewer.stdout).toBe('VM web has the tags production.\n');
    expect(table.stdout).toMatch(new RegExp(`web +stopped +${hostname()} .* production `));
    expect(await vms()).toMatchObject([
      { id, host: { id: hostId, isThis: true, isLate: false }, tags: ['production'] },
    ]);
    await engine.destroy(id, signal);
    expect(await vms()).toEqual([]);
    expect(await vms('?gone=true')).toMatchObject([{ id, tags: ['production'] }]);
    expect((await hyperkeep('vm', 'list', '--gone')).stdout).toContain('gone since');
    expect((await service.get('/vms/web')).status).toBe(404);
  });

  it('refuses what is no tag', async () => {
    await add('web');

    for (const tag of ['', ' ', '-x', 'a b', 'x'.repeat(64), 'ü']) {
      const { status } = await service.post('/vms/web/tags', { add: [tag] });
      expect({ tag, status }).toEqual({ tag, status: 400 });
    }
    expect((await service.post('/vms/none/tags', { add: ['x'] })).status).toBe(404);
  });

  it('is that of this host while the database is away', async () => {
    await add('web');
    await service.sql('ALTER TABLE vm RENAME TO away');
    const broken = await service.get('/vms');
    await service.sql('ALTER TABLE away RENAME TO vm');

    // Another failure of the database is not hidden.
    expect(broken.status).toBe(500);
    expect(await vms()).toMatchObject([{ name: 'web' }]);
  });

  it('does not send a backup to the VMs of other hosts', async () => {
    const other = randomUUID();
    await service.sql(`INSERT INTO host VALUES ('${other}', 'far', NULL, '1', 0)`);
    await service.sql(
      `INSERT INTO vm VALUES ('${randomUUID()}', '${other}', 'fake', 'db', 'running', '{}', 0, 0, NULL)`,
    );

    const run = await hyperkeep('backup', '--all');

    expect(await vms()).toMatchObject([{ name: 'db', host: { name: 'far', isLate: true } }]);
    expect(run.stderr).toContain('engine.vm-not-found');
    expect((await hyperkeep('backup', 'db')).stderr).toContain('is on the host far');
  });
});
