import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GuestAgent } from '../../src/engines/qemu/guest/guest-agent.ts';
import type { ServiceClient } from '../../src/cli/service/service-client.ts';
import { makeGuestVm, SerialLog } from '../support/guest/guest.ts';
import { KilledService } from '../support/service/killed-service.ts';
import { addRawVm } from '../support/service/raw-vm.ts';

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
  let lab: KilledService;
  const call: ServiceClient['call'] = async (...request) => lab.service.client.call(...request);

  beforeAll(async () => {
    lab = await KilledService.create(signal);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await destroyAll();
    await lab[Symbol.asyncDispose]();
  }, TIMEOUT_MS);

  async function destroyAll(): Promise<void> {
    const { vms } = await call('listVms', {}, signal);
    for (const { id, name } of vms) {
      await call('destroyVm', { path: { vm: id }, query: { confirm: name } }, signal);
    }
  }

  async function makeVms(): Promise<string> {
    const disksFolder = join(lab.folder, 'disks');
    const guest = await makeGuestVm(disksFolder, {
      ...{ name: 'shop-db', writerPauseMs: 150, dataBytes: 64 * MIB },
    });
    await call('addVm', { body: guest }, signal);
    const small = { folder: disksFolder, bytes: 64 * MIB, memoryMib: 64, guestAgent: false };
    for (const name of NAMES.slice(1)) {
      await addRawVm(lab.service.client, { ...small, name }, signal);
    }
    for (const vm of NAMES) {
      await call('startVm', { path: { vm } }, signal);
    }
    await new SerialLog(join(lab.folder, 'home/run', guest.id, 'serial.log')).waitForReady();
    return guest.id;
  }

  /** The overlays beside the images: a running VM that was backed up writes to one per disk. */
  async function overlays(): Promise<string[]> {
    const files = await readdir(join(lab.folder, 'disks'));
    return files.filter((file) => file.includes('.hk-'));
  }

  it(
    'takes all of it in another attempt, as one set, and leaves no guest frozen and no overlay',
    async () => {
      const guest = await makeVms();
      await call('applyPolicies', { body: { text: POLICY } }, signal);

      const killed = await lab.killAfterAbsence<Run>(HOUR_MS);
      {
        const socket = join(lab.folder, 'home/run', guest, 'agent');
        await using agent = await GuestAgent.connect(socket, PATIENCE_MS, signal);
        expect(await agent.freezeStatus(PATIENCE_MS, signal)).toBe('thawed');
      }
      const sealed = await lab.runsWhen<Run>((runs) =>
        runs.every(({ state }) => state === 'sealed'),
      );

      expect(killed.map(({ vm_name, attempt }) => [vm_name, attempt])).toEqual(
        NAMES.map((name) => [name, 1]),
      );
      expect(killed.map(({ state }) => state)).not.toContain('sealed');
      expect(sealed.map(({ vm_name, attempt }) => [vm_name, attempt])).toEqual(
        NAMES.map((name) => [name, 2]),
      );
      const { points } = await call('listPoints', {}, signal);
      expect(points.map(({ id }) => id).sort()).toEqual(
        sealed.map(({ point_id }) => point_id).sort(),
      );
      expect(points.map(({ vmName }) => vmName).sort()).toEqual(NAMES);
      expect(points.map(({ set }) => set?.isComplete)).toEqual([true, true, true]);
      expect(new Set(points.map(({ origin }) => origin?.group)).size).toBe(1);
      const { vms } = await call('listVms', {}, signal);
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
