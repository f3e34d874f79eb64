import { randomUUID } from 'node:crypto';
import { FakeEngine } from '../../test/support/fake-engine/fake-engine.ts';
import { VmDefinition } from '../vm/definition.ts';
import { InventoryService, type NewVm } from './inventory.service.ts';

const { signal } = new AbortController();
const SIZE = 8 * 1024 * 1024;

function setUp() {
  const engine = new FakeEngine();
  return { engine, inventory: new InventoryService(engine, async () => SIZE) };
}

/** Returns a VM as a person describes it, with the defaults filled in. */
function newVm(name = 'web', change: Partial<NewVm> = {}): NewVm {
  const whole = VmDefinition.parse({
    id: randomUUID(),
    name,
    disks: [{ id: randomUUID(), name: 'system', path: '/d/s.raw', format: 'raw', sizeBytes: 1 }],
  });
  const disks = whole.disks.map((disk) => ({ ...disk, id: undefined, sizeBytes: undefined }));
  return {
    ...whole,
    id: undefined,
    disks,
    nics: [{ model: 'virtio-net-pci', network: 'user' }],
    ...change,
  };
}

describe('InventoryService', () => {
  it('mints ids and MAC addresses and measures disks', async () => {
    const { inventory } = setUp();

    const { definition } = await inventory.add(newVm(), signal);

    expect(definition?.disks[0]).toMatchObject({
      sizeBytes: SIZE,
      id: expect.any(String) as unknown,
    });
    expect(definition?.nics[0]?.mac).toMatch(/^52:54:00(:[0-9a-f]{2}){3}$/);
  });

  it('keeps ids that are given, so that a VM comes back as itself', async () => {
    const { inventory } = setUp();
    const id = randomUUID();

    expect((await inventory.add(newVm('web', { id }), signal)).id).toBe(id);
  });

  it('refuses a size that the image does not have', async () => {
    const { inventory } = setUp();
    const disks = newVm().disks.map((disk) => ({ ...disk, sizeBytes: SIZE + 512 }));

    await expect(inventory.add(newVm('web', { disks }), signal)).rejects.toMatchObject({
      code: 'vm.disk-size-differs',
    });
  });

  it('finds a VM by name and by id', async () => {
    const { inventory } = setUp();
    const { id } = await inventory.add(newVm(), signal);

    expect((await inventory.find('web', signal)).id).toBe(id);
    expect((await inventory.find(id, signal)).name).toBe('web');
    await expect(inventory.find('db', signal)).rejects.toMatchObject({
      code: 'engine.vm-not-found',
    });
  });

  it('destroys only the VM whose name was confirmed', async () => {
    const { inventory } = setUp();
    await inventory.add(newVm(), signal);

    await expect(inventory.destroy('web', 'db', signal)).rejects.toMatchObject({
      code: 'request.invalid',
    });
    await inventory.destroy('web', 'web', signal);

    expect(await inventory.list(signal)).toEqual([]);
  });
});
