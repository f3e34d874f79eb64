import { backUp, createVault, openVault, signal } from '../../../test/support/vault/vault-lab.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { LeavingOutStore } from '../../../test/support/vault/leaving-out-store.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { Log, type LogFields } from '../../kernel/log.ts';
import { pointKey, sealKey } from '../format/object-names.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { pointNamed } from './point-named.ts';
import { damagedObjects } from '../checks/control-check.ts';

class NotingLog extends Log {
  readonly errors: string[] = [];

  override error(event: string, fields: LogFields = {}): void {
    this.errors.push(`${event} ${String(fields['pointId'])}`);
  }

  override warn(): void {
    // Not of interest.
  }

  override info(): void {
    // Not of interest.
  }

  override debug(): void {
    // Not of interest.
  }
}

async function twoPoints() {
  const inner = new MemoryObjectStore();
  const { vault } = await createVault(inner);
  const disk = new MemoryDisk(300_000);
  disk.write(0, seededBytes('points', 200_000));
  const [first, second] = [await backUp(vault, disk), await backUp(vault, disk)];
  await vault.close();
  const store = new LeavingOutStore(inner);
  const log = new NotingLog();
  const opened = await openVault(store, { log });
  return { inner, store, log, vault: opened, first, second };
}

describe('a seal whose point is gone', () => {
  it('is said by lists, by checks and by who asks for the point', async () => {
    const { inner, log, vault, first, second } = await twoPoints();
    const key = pointKey(first.vmId, first.id);
    await inner.remove(key, signal);
    const { points } = vault.inside;

    expect((await vault.points(signal)).map(({ id }) => id)).toEqual([second.id]);

    expect(log.errors).toContain(`vault.point-damaged ${first.id}`);
    const unreadable = await points.unreadable(signal);
    expect(unreadable.map(({ name, fault }) => [name.id, fault.code])).toEqual([
      [first.id, 'vault.point-corrupt'],
    ]);
    expect(await damagedObjects(vault.inside, signal)).toEqual([key]);
    await expect(pointNamed(points, first.id, signal)).rejects.toMatchObject({
      code: 'vault.point-corrupt',
    });
  });

  it('is no question when the point was given up', async () => {
    const { inner, log, vault, first } = await twoPoints();
    await vault.retire(first.id, signal);
    await inner.remove(pointKey(first.vmId, first.id), signal);

    await vault.points(signal);

    expect(log.errors).toEqual([]);
    expect(await vault.inside.points.unreadable(signal)).toEqual([]);
    expect(await damagedObjects(vault.inside, signal)).toEqual([]);
  });

  it('is no question when the list left the point out, or the seal goes too', async () => {
    const { inner, store, log, vault, first, second } = await twoPoints();
    store.leavesOut = (key) => key === pointKey(first.vmId, first.id);

    expect((await vault.points(signal)).map(({ id }) => id)).toEqual([first.id, second.id]);
    await inner.remove(sealKey(first.vmId, first.id), signal);
    await vault.points(signal);

    expect(log.errors).toEqual([]);
  });
});
