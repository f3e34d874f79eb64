import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Job } from '../../../src/api/contract/jobs.ts';
import { PointList } from '../../../src/api/contract/points.ts';
import { VaultCreated, VaultList } from '../../../src/api/contract/vaults.ts';
import { Vm, VmList } from '../../../src/api/contract/vms.ts';
import type { FreezeOptions, FrozenVm } from '../../../src/engines/engine.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { createDatabase, type TestDatabase } from '../../support/service/database.ts';
import { TestService } from '../../support/service/service.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';

const { signal } = new AbortController();
const DISK_BYTES = 24 * MiB;
const PASSPHRASE = 'correct horse battery staple';

/** An engine whose freezes wait until the test lets them go on. */
class HaltingEngine extends FakeEngine {
  private readonly gate = new EventTarget();
  halted = false;

  /** The next freeze waits; the promise says when it does. */
  async haltNext(): Promise<unknown> {
    this.halted = true;
    return once(this.gate, 'waiting');
  }

  resume(): void {
    this.gate.dispatchEvent(new Event('go'));
  }

  override async freeze(vm: string, options: FreezeOptions, stop: AbortSignal): Promise<FrozenVm> {
    const frozen = await super.freeze(vm, options, stop);
    if (this.halted) {
      this.halted = false;
      const go = once(this.gate, 'go', { signal: stop });
      this.gate.dispatchEvent(new Event('waiting'));
      await go.catch(async (error: unknown) => {
        await frozen[Symbol.asyncDispose]();
        throw error;
      });
    }
    return frozen;
  }
}

/**
 * Stays within one day: over midnight UTC a backup also reads what it proves of change tracking.
 */
class NoonClock extends SystemClock {
  private ms = Date.UTC(2026, 0, 15, 12);

  override nowMs(): number {
    this.ms += 1;
    return this.ms;
  }
}

let engine: HaltingEngine;
let service: TestService;
let folder: string;

/** Keeps the PostgreSQL of this file running between its tests. */
let keeper: TestDatabase;
beforeAll(async () => {
  keeper = await createDatabase();
});
afterAll(async () => {
  await keeper.drop();
});

beforeEach(async () => {
  engine = new HaltingEngine(new NoonClock());
  service = await TestService.start(engine);
  folder = await mkdtemp(join(tmpdir(), 'hk-service-disks-'));
});
afterEach(async () => {
  await service.remove();
  await rm(folder, { recursive: true });
});

async function createVault(name = 'main'): Promise<VaultCreated> {
  const { status, body } = await service.post('/vaults', {
    name,
    location: join(folder, name),
    passphrase: PASSPHRASE,
  });
  expect({ status, body }).toMatchObject({ status: 201 });
  return VaultCreated.parse(body);
}

async function addVm(name = 'web'): Promise<Vm> {
  const path = join(folder, `${name}.raw`);
  await writeFile(path, '');
  await truncate(path, DISK_BYTES);
  const { status, body } = await service.post('/vms', {
    name,
    disks: [{ name: 'system', path, format: 'raw' }],
    nics: [{ network: 'user' }],
  });
  expect({ status, body }).toMatchObject({ status: 201 });
  await service.post(`/vms/${name}/start`);
  return Vm.parse(body);
}

/** What the guest wrote, as the disk should be restored. */
async function contentOf(vm: string): Promise<Buffer> {
  await using reader = engine.read(vm, 'system');
  const content = Buffer.alloc(reader.size);
  await reader.read(0, content, signal);
  return content;
}

async function points(query = ''): Promise<PointList['points']> {
  const { body } = await service.get(`/points${query}`);
  return PointList.parse(body).points;
}

describe('the service', () => {
  it('backs up, backs up the change alone, and restores both moments byte for byte', async () => {
    await createVault();
    const vm = await addVm();
    engine.write(vm.id, 'system', 3 * MiB, seededBytes('1', 5 * MiB));
    const before = await contentOf(vm.id);

    const first = await service.run('/backups', { vm: 'web' });
    engine.write(vm.id, 'system', 20 * MiB, seededBytes('2', 1 * MiB));
    const after = await contentOf(vm.id);
    const second = await service.run('/backups', { vm: vm.id, vault: 'main' });

    expect(first).toMatchObject({
      state: 'succeeded',
      vmName: 'web',
      result: { kind: 'backup', consistency: 'filesystem', guestFrozenMs: 5, transactionMs: 1 },
    });
    expect(first.result).toMatchObject({ disks: [{ method: 'full', reason: 'first-backup' }] });
    expect(second.result).toMatchObject({
      disks: [{ method: 'changed-extents', readBytes: 1 * MiB }],
      notes: [],
    });
    const taken = await points('?vm=web');
    expect(taken).toMatchObject([{ vmName: 'web', vaultName: 'main' }, { parentId: taken[0]?.id }]);
    const [id] = /^[0-9a-f-]{36}/.exec(await readFile(join(service.home, 'host-id'), 'utf8')) ?? [];
    const [own] = await points('?refresh=true');
    expect(own?.origin).toEqual({ kind: 'hand', service: id, actor: 'api-token' });
    for (const [index, expected] of [before, after].entries()) {
      const file = join(folder, `restored-${String(index)}.raw`);
      const restored = await service.run('/restores', {
        kind: 'disk',
        point: taken[index]?.id,
        file,
      });
      expect(restored).toMatchObject({ state: 'succeeded', result: { files: [file] } });
      expect((await readFile(file)).equals(expected)).toBe(true);
    }
  });

  it('verifies a point, and says which is damaged', async () => {
    await createVault();
    const vm = await addVm();
    engine.write(vm.id, 'system', 0, seededBytes('3', 2 * MiB));
    await service.run('/backups', { vm: 'web' });

    const whole = await service.run('/verifications', { vm: 'web' });
    expect(whole).toMatchObject({ state: 'succeeded', result: { kind: 'verify' } });

    await damagePacks(join(folder, 'main', 'd'));
    const damaged = await service.run('/verifications', { vm: 'web' });

    expect(damaged).toMatchObject({ state: 'failed', fault: { code: 'point.damaged' } });
  });

  it('restores a VM under a new name beside the original', async () => {
    await createVault();
    const vm = await addVm();
    engine.write(vm.id, 'system', 1 * MiB, seededBytes('4', 1 * MiB));
    await service.run('/backups', { vm: 'web' });

    const taken = await service.run('/restores', { kind: 'vm', vm: 'web' });
    const restored = await service.run('/restores', {
      kind: 'vm',
      vm: 'web',
      name: 'web-2',
      folder: join(folder, 'new'),
      format: 'raw',
      start: true,
    });

    expect(taken).toMatchObject({ state: 'failed', fault: { code: 'engine.vm-exists' } });
    expect(restored).toMatchObject({ state: 'succeeded', result: { added: true, started: true } });
    expect((await readdir(join(folder, 'new'))).sort()).toEqual(['web-2-system.raw', 'web-2.json']);
    const restoredBytes = await readFile(join(folder, 'new', 'web-2-system.raw'));
    expect(restoredBytes.equals(await contentOf(vm.id))).toBe(true);
    const { vms } = VmList.parse((await service.get('/vms')).body);
    expect(vms.map(({ name, status }) => [name, status])).toEqual([
      ['web', 'running'],
      ['web-2', 'running'],
    ]);
    expect(vms[1]?.id).not.toBe(vm.id);
    expect(vms[1]?.definition?.nics[0]?.mac).not.toBe(vm.definition?.nics[0]?.mac);
  });

  it('answers an image that is none as the mistake of who named it', async () => {
    const text = join(folder, 'text.qcow2');
    await writeFile(text, 'hello');
    const answers = [];
    for (const path of [
      text,
      folder,
      join(text, 'below'),
      join(folder, 'x'.repeat(300)),
      '/a\0b',
    ]) {
      const disks = [{ name: 'system', path, format: 'qcow2' }];
      const { status } = await service.post('/vms', { name: 'odd', disks });
      answers.push(status);
    }

    expect(answers).toEqual([422, 422, 404, 400, 400]);
  });

  it('brings a destroyed VM back as itself, and its next backup follows the old points', async () => {
    await createVault();
    const vm = await addVm();
    engine.write(vm.id, 'system', 0, seededBytes('5', 1 * MiB));
    await service.run('/backups', { vm: 'web' });
    expect((await service.send('DELETE', '/vms/web?confirm=wob')).status).toBe(400);
    expect((await service.send('DELETE', '/vms/web?confirm=web')).status).toBe(204);

    const restored = await service.run('/restores', { kind: 'vm', vm: 'web' });
    const next = await service.run('/backups', { vm: 'web' });

    expect(restored).toMatchObject({
      state: 'succeeded',
      result: { definition: { id: vm.id, name: 'web' } },
    });
    expect(next).toMatchObject({
      state: 'succeeded',
      result: { vmId: vm.id, disks: [{ method: 'full', reason: 'tracking-replaced' }] },
    });
  });

  it('refuses a second backup of a VM while one runs, and not afterwards', async () => {
    await createVault();
    await addVm();
    const waiting = engine.haltNext();
    const { body: first } = await service.post('/backups', { vm: 'web' });
    await waiting;

    const second = await service.post('/backups', { vm: 'web' });
    engine.resume();
    const ended = await service.ended(Job.parse(first).id);
    const third = await service.run('/backups', { vm: 'web' });

    expect(second).toMatchObject({ status: 409, body: { title: 'job.conflict' } });
    expect(ended.state).toBe('succeeded');
    expect(third.state).toBe('succeeded');
  });

  it('cancels a backup without a trace but its job', async () => {
    await createVault();
    const vm = await addVm();
    engine.write(vm.id, 'system', 0, seededBytes('6', 1 * MiB));
    const waiting = engine.haltNext();
    const { body } = await service.post('/backups', { vm: 'web' });
    const { id } = Job.parse(body);
    await waiting;

    const cancelled = await service.post(`/jobs/${id}/cancel`);

    expect(cancelled).toMatchObject({ status: 200, body: { state: 'cancelled' } });
    expect(engine.frozen).toBe(0);
    expect(await points('?refresh=true')).toEqual([]);
    expect((await service.run('/backups', { vm: 'web' })).state).toBe('succeeded');
  });

  it('loses no change when a backup fails', async () => {
    await createVault();
    const vm = await addVm();
    await service.run('/backups', { vm: 'web' });
    engine.write(vm.id, 'system', 7 * MiB, seededBytes('7', 1 * MiB));
    engine.failNextFreeze(new Error('inner workings'));

    const failed = await service.run('/backups', { vm: 'web' });
    const next = await service.run('/backups', { vm: 'web' });

    expect(failed).toMatchObject({ state: 'failed', fault: { code: 'internal' } });
    expect(JSON.stringify(failed)).not.toContain('inner workings');
    expect(next.result).toMatchObject({
      disks: [{ method: 'changed-extents', readBytes: 1 * MiB }],
    });
  });

  it('serves two vaults with different rhythms, each incremental', async () => {
    await createVault('near');
    await createVault('far');
    const vm = await addVm();
    await service.run('/backups', { vm: 'web', vault: 'near' });
    await service.run('/backups', { vm: 'web', vault: 'far' });
    for (const index of [0, 1, 2]) {
      engine.write(vm.id, 'system', (4 + index) * MiB, seededBytes(String(10 + index), 1 * MiB));
      await service.run('/backups', { vm: 'web', vault: 'near' });
    }

    const far = await service.run('/backups', { vm: 'web', vault: 'far' });

    expect(far.result).toMatchObject({
      disks: [{ method: 'changed-extents', readBytes: 3 * MiB }],
    });
    const unclear = await service.post('/backups', { vm: 'web' });
    expect(unclear).toMatchObject({ status: 400, body: { title: 'vault.not-chosen' } });
  });

  it('marks a job that an earlier process left, and lets the VM be backed up again', async () => {
    await createVault();
    const vm = await addVm();
    const id = randomUUID();
    await service.sql(
      `INSERT INTO job (id, kind, state, exclusive_key, subject, parameters, created_at_ms, claimed_by)
       SELECT '${id}', 'backup', 'running', 'backup ${vm.id}', '{"vmName":"web"}', '{}', 1, id::uuid FROM host`,
    );

    await service.restart();

    expect(await service.get(`/jobs/${id}`)).toMatchObject({
      body: { state: 'interrupted', fault: { code: 'job.interrupted' } },
    });
    expect((await service.run('/backups', { vm: 'web' })).state).toBe('succeeded');
  });

  it('interrupts its jobs when it stops', async () => {
    await createVault();
    await addVm();
    const waiting = engine.haltNext();
    const { body } = await service.post('/backups', { vm: 'web' });
    const { id } = Job.parse(body);
    const ended = service.ended(id);
    await waiting;

    await service.restart();

    expect(await ended).toMatchObject({ state: 'interrupted' });
    expect(await service.get(`/jobs/${id}`)).toMatchObject({ body: { state: 'interrupted' } });
    expect(engine.frozen).toBe(0);
  });

  it('opens its vaults after a restart without the passphrase', async () => {
    await createVault();
    await addVm();
    await service.run('/backups', { vm: 'web' });

    await service.restart();

    expect((await service.run('/verifications', { vm: 'web' })).state).toBe('succeeded');
    const keys = await readdir(join(service.home, 'keys'));
    expect(keys.length).toBe(2);
  });

  it('rebuilds its catalog from a vault when the database is lost', async () => {
    const { vault } = await createVault();
    const vm = await addVm();
    engine.write(vm.id, 'system', 0, seededBytes('8', 1 * MiB));
    await service.run('/backups', { vm: 'web' });
    const before = await points();

    await service.loseDatabase();
    expect(VaultList.parse((await service.get('/vaults')).body).vaults).toEqual([]);
    const wrong = await service.post('/vaults', {
      name: 'again',
      location: join(folder, 'main'),
      passphrase: 'not the passphrase at all',
      existing: true,
    });
    const registered = await service.post('/vaults', {
      name: 'again',
      location: join(folder, 'main'),
      passphrase: PASSPHRASE,
      existing: true,
    });

    expect(wrong).toMatchObject({ status: 403, body: { title: 'vault.wrong-passphrase' } });
    expect(registered).toMatchObject({
      status: 201,
      body: { vault: { id: vault.id, points: 1 } },
    });
    expect(await points()).toEqual(before.map((point) => ({ ...point, vaultName: 'again' })));
    engine.write(vm.id, 'system', 9 * MiB, seededBytes('9', 1 * MiB));
    const next = await service.run('/backups', { vm: 'web' });
    expect(next.result).toMatchObject({
      disks: [{ method: 'changed-extents', readBytes: 1 * MiB }],
    });
  });

  it('registers a vault by its recovery file', async () => {
    const { recoveryFile } = await createVault();
    expect((await service.send('DELETE', '/vaults/main')).status).toBe(204);

    const registered = await service.post('/vaults', {
      name: 'main',
      location: join(folder, 'main'),
      recoveryFile,
      existing: true,
    });

    expect(registered).toMatchObject({ status: 201 });
  });

  it('generates a passphrase that opens the vault', async () => {
    const location = join(folder, 'generated');
    const { body } = await service.post('/vaults', { name: 'generated', location });
    const { passphrase } = VaultCreated.parse(body);
    await service.send('DELETE', '/vaults/generated');

    const again = await service.post('/vaults', {
      name: 'generated',
      location,
      passphrase,
      existing: true,
    });

    expect(passphrase).toMatch(/^([0-9A-Z]{5}-){5}[0-9A-Z]{5}$/);
    expect(again.status).toBe(201);
  });

  it('refuses a vault where something is, and a name that is taken', async () => {
    await createVault();
    await mkdir(join(folder, 'full', 'fmt'), { recursive: true });

    const taken = await service.post('/vaults', {
      name: 'main',
      location: join(folder, 'other'),
      passphrase: PASSPHRASE,
    });
    const there = await service.post('/vaults', {
      name: 'second',
      location: join(folder, 'main'),
      passphrase: PASSPHRASE,
    });

    expect(taken).toMatchObject({ status: 409, body: { title: 'vault.name-taken' } });
    expect(there).toMatchObject({ status: 409, body: { title: 'vault.not-empty' } });
  });

  it('never overwrites a file, and leaves none half-written', async () => {
    await createVault();
    const vm = await addVm();
    engine.write(vm.id, 'system', 0, seededBytes('11', 4 * MiB));
    await service.run('/backups', { vm: 'web' });
    const there = join(folder, 'there.raw');
    await writeFile(there, 'mine');

    const refused = await service.run('/restores', { kind: 'disk', vm: 'web', file: there });
    await damagePacks(join(folder, 'main', 'd'));
    await service.restart();
    await rm(join(service.home, 'cache'), { recursive: true, force: true });
    const broken = await service.run('/restores', {
      kind: 'disk',
      vm: 'web',
      file: join(folder, 'broken.raw'),
    });

    expect(refused).toMatchObject({ state: 'failed', fault: { code: 'target.exists' } });
    expect(await readFile(there, 'utf8')).toBe('mine');
    expect(broken.state).toBe('failed');
    expect((await readdir(folder)).filter((name) => name.startsWith('broken'))).toEqual([]);
  });

  it('keeps no secret in the database or in its answers', async () => {
    const { recoveryFile } = await createVault();
    await addVm();
    await service.run('/backups', { vm: 'web' });

    const shown = JSON.stringify([
      (await service.get('/vaults')).body,
      (await service.get('/jobs')).body,
      await service.rows('vault'),
      await service.rows('job'),
    ]);

    expect(shown).not.toContain(PASSPHRASE);
    expect(recoveryFile?.length).toBeGreaterThan(20);
    expect(shown).not.toContain(recoveryFile?.trim().split('\n').at(-1));
  });
});

/** Flips a byte in the middle of every object under `prefix`. */
async function damagePacks(prefix: string): Promise<void> {
  for (const entry of await readdir(prefix, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) {
      const path = join(entry.parentPath, entry.name);
      const content = await readFile(path);
      const at = Math.floor(content.length / 3);
      content.writeUInt8(content.readUInt8(at) ^ 0xff, at);
      await rm(path);
      await writeFile(path, content);
    }
  }
}
