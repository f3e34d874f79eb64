import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { openCatalog } from '../../../src/catalog/database/catalog-source.ts';
import { InventoryRows } from '../../../src/catalog/inventory-rows.ts';
import type { VmSummary } from '../../../src/engines/engine.ts';
import { Hosts } from '../../../src/inventory/hosts.ts';
import { KnownVms } from '../../../src/inventory/known-vms.ts';
import { newJob } from '../../../src/jobs/live-job.ts';
import { toStored } from '../../../src/jobs/stored-job.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { HostIdentity } from '../../../src/kernel/host-identity.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { openJobStorage } from '../../support/jobs/job-storage.ts';
import { EventLog } from '../../support/service/event-log.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';

const { signal } = new AbortController();
let database: TestDatabase;
let source: DataSource;
beforeEach(async () => {
  database = await createDatabase();
  source = await openCatalog(database);
});
afterEach(async () => {
  await source.destroy();
  await database.drop();
});

/** Tells what its owner wants it to tell. */
class OddEngine extends FakeEngine {
  failure: Error | undefined;
  lists = 0;
  readonly leftOut = new Set<string>();
  readonly names = new Map<string, string>();

  override async list(stop: AbortSignal): Promise<VmSummary[]> {
    this.lists += 1;
    if (this.failure !== undefined) {
      throw this.failure;
    }
    const vms = await super.list(stop);
    return vms
      .filter(({ id }) => !this.leftOut.has(id))
      .map((vm) => ({ ...vm, name: this.names.get(vm.id) ?? vm.name }));
  }
}

class SetClock extends SystemClock {
  ms = 1_800_000_000_000;

  override nowMs(): number {
    return this.ms;
  }
}

/** A host with an engine of its own; all share the database. */
function hostNamed(name: string, clock = new SetClock()) {
  const engine = new OddEngine();
  const log = new EventLog();
  const host = new HostIdentity({ id: randomUUID(), name, version: '1.0.0' });
  const rows = new InventoryRows(source);
  return { engine, clock, log, host, vms: new KnownVms({ engine, rows, host, clock, log }) };
}

async function add(engine: OddEngine, name: string, id: string = randomUUID()): Promise<string> {
  const disk = { id: randomUUID(), name: 'd', path: `/d/${id}.raw`, format: 'raw', sizeBytes: 512 };
  await engine.add(VmDefinition.parse({ id, name, disks: [disk] }), signal);
  return id;
}

const namesOf = async ({ vms }: { vms: KnownVms }): Promise<string[]> =>
  (await vms.list(signal)).map(({ name, host }) => `${name}@${host.name}`);

describe('the memory of the inventory', () => {
  it('takes a VM for the same by its id when it is renamed, gone and back, with its tags', async () => {
    const a = hostNamed('a');
    const id = await add(a.engine, 'web');
    await a.vms.tag('web', { add: ['tier:1', 'production'], remove: [] }, signal);
    const [first] = await a.vms.list(signal);
    a.engine.names.set(id, 'shop');
    a.clock.ms += 1000;
    const [renamed] = await a.vms.list(signal);
    await a.engine.destroy(id, signal);
    a.clock.ms += 1000;

    expect(await a.vms.list(signal)).toEqual([]);
    expect(await a.vms.listAll(signal)).toMatchObject([{ id, name: 'shop', goneAtMs: a.clock.ms }]);
    await add(a.engine, 'web', id);
    const [back] = await a.vms.list(signal);

    expect(renamed).toMatchObject({ id, name: 'shop', firstSeenMs: first?.firstSeenMs });
    expect(back).toMatchObject({ id, tags: ['production', 'tier:1'] });
    expect(back?.firstSeenMs).toBe(first?.firstSeenMs);
    expect(back?.goneAtMs).toBeUndefined();
    expect(a.log.events).toEqual(['vm.found', 'vm.tagged', 'vm.renamed', 'vm.gone', 'vm.returned']);
  });

  it('loses nothing when the engine cannot be asked, or leaves VMs out', async () => {
    const a = hostNamed('a');
    const [one, two] = [await add(a.engine, 'one'), await add(a.engine, 'two')];
    await a.vms.look(signal);

    a.engine.failure = new Error('no answer');
    await expect(a.vms.look(signal)).rejects.toThrow('no answer');
    a.engine.failure = undefined;
    a.engine.leftOut.add(one).add(two);

    expect(await namesOf(a)).toEqual(['one@a', 'two@a']);
    await a.engine.destroy(two, signal);
    expect(await namesOf(a)).toEqual(['one@a']);
  });

  it('is chosen from without a look, unless the engine has other VMs', async () => {
    const [a, b] = [hostNamed('a'), hostNamed('b')];
    const chosen = async () => (await a.vms.remembered(signal)).map(({ name }) => name);
    const web = await add(a.engine, 'web');
    await a.vms.tag('web', { add: ['gold'], remove: [] }, signal);
    await add(b.engine, 'web2', web);
    await add(b.engine, 'db');
    await b.vms.look(signal);
    const looks = [a.engine.lists, b.engine.lists];

    expect(await a.vms.remembered(signal)).toMatchObject([{ name: 'db' }, { tags: ['gold'] }]);
    await b.vms.remembered(signal);
    expect([a.engine.lists, b.engine.lists]).toEqual(looks);

    const id = await add(a.engine, 'shop');
    expect(await chosen()).toEqual(['db', 'shop', 'web']);
    await a.engine.destroy(id, signal);
    expect(await chosen()).toEqual(['db', 'web']);
    await add(a.engine, 'new');
    a.engine.failure = new Error('no answer');
    expect(await chosen()).toEqual(['db', 'web']);
    expect(a.log.events).toContain('inventory.remembered');
  });

  it('is one list of all hosts, in which each says what it has', async () => {
    const [a, b] = [hostNamed('a'), hostNamed('b')];
    await add(a.engine, 'web');
    const db = await add(b.engine, 'db');
    b.engine.setStatus(db, 'running');
    await Promise.all([a.vms.look(signal), b.vms.look(signal)]);

    const [ofB, ofA] = await a.vms.list(signal);

    expect(await namesOf(b)).toEqual(['db@b', 'web@a']);
    expect(ofA).toMatchObject({ name: 'web', host: { isThis: true }, summary: { name: 'web' } });
    expect(ofB).toMatchObject({ name: 'db', status: 'running', host: { id: b.host.id } });
    expect(ofB).toMatchObject({ host: { isThis: false, isLate: false } });
    expect(ofB?.summary).toBeUndefined();
    // Each empties its own part only.
    await a.engine.destroy(ofA?.id ?? '', signal);
    expect(await namesOf(a)).toEqual(['db@b']);
  });

  it('leaves a VM that two hosts have to the first, until that is silent', async () => {
    const clock = new SetClock();
    const [a, b] = [hostNamed('a', clock), hostNamed('b', clock)];
    const id = await add(a.engine, 'web');
    await a.vms.tag(id, { add: ['production'], remove: [] }, signal);
    await add(b.engine, 'web', id);

    await b.vms.look(signal);
    await b.vms.look(signal);
    expect(await namesOf(b)).toEqual(['web@a']);
    expect(b.log.events).toEqual(['vm.on-two-hosts']);
    clock.ms += 120_001;

    expect(await b.vms.list(signal)).toMatchObject([{ host: { name: 'b' }, tags: ['production'] }]);
    expect(await namesOf(a)).toEqual(['web@b']);
    expect(b.log.events).toEqual(['vm.on-two-hosts', 'vm.moved']);
  });

  it('says which host was not heard of for two minutes', async () => {
    const clock = new SetClock();
    const [a, b] = [hostNamed('a', clock), hostNamed('b', clock)];
    await add(a.engine, 'web');
    await a.vms.look(signal);
    clock.ms += 120_001;

    expect(await b.vms.list(signal)).toMatchObject([{ host: { name: 'a', isLate: true } }]);
  });

  it('tells hosts with one name apart', async () => {
    const [a, b] = [hostNamed('a'), hostNamed('a')];
    await add(a.engine, 'web');
    await Promise.all([a.vms.look(signal), b.vms.look(signal)]);

    expect(await namesOf(b)).toEqual([`web@a (${a.host.id.slice(0, 8)})`]);
  });

  it('forgets a host with its VMs, unless it is there', async () => {
    const clock = new SetClock();
    const [a, b] = [hostNamed('a', clock), hostNamed('b', clock)];
    const gone = await add(a.engine, 'gone');
    await add(a.engine, 'web');
    await add(b.engine, 'db');
    await a.vms.look(signal);
    await a.engine.destroy(gone, signal);
    await a.vms.look(signal);
    await using storage = await openJobStorage(source, database);
    const { rows: jobs } = storage;
    const hosts = new Hosts({
      ...{ known: b.vms, rows: new InventoryRows(source), jobs, clock, log: b.log },
    });
    const backUp = async (): Promise<string> => {
      const request = { kind: 'backup', subject: {}, parameters: {}, exclusiveKey: 'web' } as const;
      const job = newJob(request, clock.ms);
      await jobs.add(toStored(job, request, a.host.id), 10);
      return job.id;
    };
    const waiting = await backUp();
    await b.vms.look(signal);
    const forget = async (name: string, dryRun = false) => hosts.forget(name, { dryRun });
    await expect(forget('a')).rejects.toMatchObject({ code: 'host.in-use' });
    clock.ms += 120_001;
    await b.vms.look(signal);
    await expect(forget('b')).rejects.toMatchObject({ code: 'host.in-use' });
    await expect(forget('c')).rejects.toMatchObject({ code: 'host.unknown' });

    const wanted = { name: 'a', vms: [{ name: 'web' }], goneVms: 1 };
    expect(await forget('a', true)).toMatchObject(wanted);
    expect(await namesOf(b)).toEqual(['db@b', 'web@a']);
    expect(await forget('a')).toMatchObject(wanted);

    expect((await hosts.list()).map(({ name }) => name)).toEqual(['b']);
    expect(await b.vms.listAll(signal)).toHaveLength(1);
    expect(await jobs.get(waiting)).toMatchObject({
      state: 'cancelled',
      fault: { code: 'cancelled' },
      finishedAtMs: clock.ms,
    });
    // Its service is back: it is a host again, which takes jobs.
    expect(await namesOf(a)).toEqual(['db@b', 'web@a']);
    expect(await jobs.get(await backUp())).toMatchObject({ state: 'queued' });
  });

  it('gives and takes tags at once, and says where a name is needed twice', async () => {
    const [a, b] = [hostNamed('a'), hostNamed('b')];
    const id = await add(a.engine, 'web');
    await a.vms.look(signal);
    const words = Array.from({ length: 8 }, (_, index) => `t${String(index)}`);

    const rows = new InventoryRows(source);
    await b.vms.tag('web', { add: ['t0'], remove: [] }, signal);
    await Promise.all(words.slice(1).map((tag) => rows.changeTags(id, (old) => [...old, tag])));
    const tagged = await a.vms.tag(id, { add: ['x'], remove: ['t1', 'none'] }, signal);
    await add(b.engine, 'web');

    expect(tagged.tags).toEqual(['t0', ...words.slice(2), 'x']);
    await expect(a.vms.tag('db', { add: ['x'], remove: [] }, signal)).rejects.toMatchObject({
      code: 'engine.vm-not-found',
    });
    await b.vms.look(signal);
    await expect(a.vms.tag('web', { add: ['x'], remove: [] }, signal)).rejects.toMatchObject({
      code: 'vm.ambiguous',
    });
    const many = Array.from({ length: 60 }, (_, index) => `m${String(index)}`);
    await expect(a.vms.tag(id, { add: many, remove: [] }, signal)).rejects.toMatchObject({
      code: 'request.invalid',
    });
  });
});
