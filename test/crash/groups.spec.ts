import { once } from 'node:events';
import { watch } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import { GuestAgent } from '../../src/engines/qemu/guest/guest-agent.ts';
import { makeGuestVm, SerialLog } from '../support/guest/guest.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';
import { createDatabase, type TestDatabase } from '../support/service/database.ts';
import { RealService } from '../support/service/real-service.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;
const TIMEOUT_MS = 600_000;
/** For what hangs: a guest that is emulated on a busy host is slow. */
const PATIENCE_MS = 300_000;
const { signal } = new AbortController();
const NAMES = ['shop-db', 'shop-queue', 'shop-web'];
const IMAGES = ['shop-db-data.qcow2', 'shop-db-system.qcow2', 'shop-queue.raw', 'shop-web.raw'];
const POLICY = `
name: shop
selector: { vms: [shop-*] }
vault: main
schedule: { every: 1h }
group: { spread: 60s, freezeWithin: 20s }
`;

interface Run {
  readonly vm_name: string;
  readonly state: string;
  readonly attempt: number;
  readonly point_id: string | null;
}

/** One real guest with an agent, and two VMs without. */
describe('A service that is killed during the backup of a group', () => {
  let folder: string;
  let database: TestDatabase;
  let service: RealService;

  beforeAll(async () => {
    await ensureBuild(join(import.meta.dirname, '../..'));
    folder = await mkdtemp(join(tmpdir(), 'hk-crash-'));
    await chmod(folder, 0o711);
    database = await createDatabase();
    service = await start();
  }, TIMEOUT_MS);
  afterAll(async () => {
    await destroyAll();
    await service.stop();
    await database.drop();
    await rm(folder, { recursive: true });
  }, TIMEOUT_MS);

  async function start(): Promise<RealService> {
    return RealService.start(join(folder, 'home'), signal, { DATABASE_URL: database.url });
  }

  async function destroyAll(): Promise<void> {
    const { vms } = await service.client.call('listVms', {}, signal);
    for (const { id, name } of vms) {
      await service.client.call(
        'destroyVm',
        { path: { vm: id }, query: { confirm: name } },
        signal,
      );
    }
  }

  async function runs(): Promise<Run[]> {
    return (await database.run('SELECT * FROM "run" ORDER BY "vm_name"')) as Run[];
  }

  async function makeVms(): Promise<string> {
    const disksFolder = join(folder, 'disks');
    const guest = await makeGuestVm(disksFolder, {
      ...{ name: 'shop-db', writerPauseMs: 150, dataBytes: 64 * MIB },
    });
    await service.client.call('addVm', { body: guest }, signal);
    for (const name of NAMES.slice(1)) {
      const path = join(disksFolder, `${name}.raw`);
      await writeFile(path, seededBytes(name, 64 * MIB));
      const disks = [{ name: 'system', path, format: 'raw' as const }];
      const body = { name, disks, memoryMib: 64, guestAgent: false };
      await service.client.call('addVm', { body }, signal);
    }
    for (const vm of NAMES) {
      await service.client.call('startVm', { path: { vm } }, signal);
    }
    await new SerialLog(join(folder, 'home/run', guest.id, 'serial.log')).waitForReady();
    return guest.id;
  }

  /** The overlays beside the images: a running VM that was backed up writes to one per disk. */
  async function overlays(): Promise<string[]> {
    const files = await readdir(join(folder, 'disks'));
    return files.filter((file) => file.includes('.hk-'));
  }

  it(
    'takes all of it in another attempt, as one set, and leaves no guest frozen and no overlay',
    async () => {
      const { client } = service;
      const location = join(folder, 'vault');
      await mkdir(location);
      const vault = { name: 'main', location, passphrase: 'a b c d e f g h' };
      await client.call('createVault', { body: vault }, signal);
      const guest = await makeVms();
      await client.call('applyPolicies', { body: { text: POLICY } }, signal);
      const packs = watch(location, { recursive: true });
      const written = once(packs, 'change');

      // As if the service had been away for a fire time.
      await database.run(`UPDATE "policy" SET "horizon_ms" = "horizon_ms" - ${String(HOUR_MS)}`);
      await written;
      await service.kill();
      packs.close();
      const killed = await runs();
      service = await start();
      {
        const socket = join(folder, 'home/run', guest, 'agent');
        await using agent = await GuestAgent.connect(socket, PATIENCE_MS, signal);
        expect(await agent.freezeStatus(PATIENCE_MS, signal)).toBe('thawed');
      }
      for (let sinceMs = 0; !(await runs()).every(({ state }) => state === 'sealed');) {
        await service.logs('run.changed', sinceMs, signal);
        sinceMs = performance.now();
      }

      expect(killed.map(({ vm_name, attempt }) => [vm_name, attempt])).toEqual(
        NAMES.map((name) => [name, 1]),
      );
      expect(killed.map(({ state }) => state)).not.toContain('sealed');
      const sealed = await runs();
      expect(sealed.map(({ vm_name, attempt }) => [vm_name, attempt])).toEqual(
        NAMES.map((name) => [name, 2]),
      );
      const { points } = await service.client.call('listPoints', {}, signal);
      expect(points.map(({ id }) => id).sort()).toEqual(
        sealed.map(({ point_id }) => point_id).sort(),
      );
      expect(points.map(({ vmName }) => vmName).sort()).toEqual(NAMES);
      expect(points.map(({ set }) => set?.isComplete)).toEqual([true, true, true]);
      expect(new Set(points.map(({ origin }) => origin?.group)).size).toBe(1);
      const { vms } = await service.client.call('listVms', {}, signal);
      expect(vms.flatMap(({ warnings }) => warnings)).toEqual([]);
      // What the killed attempt left is merged: each image has the overlay of its new point alone.
      const images = (await overlays()).map((file) => file.replace(/\.hk-.*/, ''));
      expect(images.sort()).toEqual(IMAGES);
      await destroyAll();
      expect(await overlays()).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
