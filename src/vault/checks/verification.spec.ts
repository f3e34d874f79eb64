import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import {
  backUp,
  createVault,
  openVault,
  signal,
  VM,
} from '../../../test/support/vault/vault-lab.ts';
import { SystemClock } from '../../kernel/clock.ts';
import { Log } from '../../kernel/log.ts';
import { collectVault } from '../collect/collector.ts';
import { retireKey } from '../format/object-names.ts';
import { decodeLeaf, encodeLeaf } from '../maps/map-node.ts';
import { MetadataWriter } from '../maps/metadata-writer.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { mapRoot, pointerDocument } from '../points/point-maps.ts';
import type { PointDocument } from '../points/point-object.ts';
import { newUlid } from '../bytes/ulid.ts';
import type { VaultInside } from '../vault-inside.ts';

async function setUp() {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(200_000);
  disk.write(0, seededBytes('verification', 200_000));
  const { id } = await backUp(vault, disk);
  const point = await backUp(vault, disk);
  const { document } = await vault.inside.points.load(point, signal);
  return { store, inside: vault.inside, document, parentId: id };
}

/** Seals a point as a holder of the key could, and verifies it at level 1 on another machine. */
async function problemsOf(
  store: MemoryObjectStore,
  { points }: VaultInside,
  changed: PointDocument,
): Promise<string[]> {
  const document = { ...changed, id: newUlid(2_000_000_000_000) };
  const object = await points.put(document, signal);
  await points.seal(document, object, signal);
  const report = await (await openVault(store)).verify(document.id, 1, { signal });
  return report.problems.map(({ code }) => code);
}

/** Keeps what is logged. */
class Heard extends Log {
  readonly events: string[] = [];

  override error(event: string): void {
    this.events.push(event);
  }

  override warn(event: string): void {
    this.events.push(event);
  }

  override info(): void {
    // Not kept.
  }

  override debug(): void {
    // Not kept.
  }
}

describe('verify level 1', () => {
  it('proves that the packs hold what a leaf was made of', async () => {
    const { store, inside, document } = await setUp();
    const { base, nodes } = inside;
    const [disk] = document.disks;
    const root = disk === undefined ? undefined : mapRoot(disk, base.numbers);
    expect(root?.depth).toBe(0);
    const leaf = root?.pointer && (await nodes.read(root.pointer, signal));
    const { extents, contentMac } = decodeLeaf(leaf ?? new Uint8Array(), base.numbers);
    const wrong = Buffer.from(contentMac);
    wrong[0] = (wrong[0] ?? 0) ^ 1;
    const metadata = new MetadataWriter(nodes, new SystemClock());
    const write = async (mac: Buffer): Promise<PointDocument['disks']> => {
      const pointer = await metadata.add(
        encodeLeaf({ extents, contentMac: mac }, base.numbers),
        signal,
      );
      await metadata.finish(signal);
      return document.disks.map((stored) => ({
        ...stored,
        root: pointerDocument(pointer, base.numbers),
      }));
    };

    // The node, its MAC in the pointer and all packs are right; only the content MAC differs.
    const disks = await write(wrong);
    expect(await problemsOf(store, inside, { ...document, disks })).toEqual(['vault.map-corrupt']);
    const same = await write(contentMac);
    expect(await problemsOf(store, inside, { ...document, disks: same })).toEqual([]);
  });

  it('proves that the parent is the point it was made from, if it is still there', async () => {
    const { store, inside, document, parentId } = await setUp();
    const parent = { id: parentId, mac: '0'.repeat(32) };

    expect(document.parent?.id).toBe(parentId);
    expect(await problemsOf(store, inside, document)).toEqual([]);
    expect(await problemsOf(store, inside, { ...document, parent })).toEqual([
      'vault.point-corrupt',
    ]);
    const gone = { id: newUlid(1), mac: '0'.repeat(32) };
    expect(await problemsOf(store, inside, { ...document, parent: gone })).toEqual([]);
  });

  it('says nothing of a parent that was given up, and that one is gone which nobody gave up', async () => {
    const { store, inside, document, parentId } = await setUp();
    const log = new Heard();
    const verify = async () => (await openVault(store, { log })).verify(document.id, 1, { signal });

    await inside.points.retire({ ...VM, id: parentId }, 1, signal);
    await collectVault(inside, { youngMs: 0, allPointsAreListed: true }, { signal });
    expect(await inside.points.exists({ ...VM, id: parentId }, signal)).toBe(false);
    expect(await verify()).toMatchObject({ ok: true });
    expect(log.events).toEqual([]);

    await store.remove(retireKey(VM.vmId, parentId), signal);
    expect(await verify()).toMatchObject({ ok: true });
    expect(log.events).toEqual(['vault.parent-missing']);
  });
});
