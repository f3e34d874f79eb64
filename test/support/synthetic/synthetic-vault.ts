import { createCipheriv } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createVault, DISK, signal } from '../vault/vault-lab.ts';
import {
  collapseFragments,
  contentMac,
  type Fragment,
} from '../../../src/vault/maps/leaf-fragments.ts';
import { KeyTree } from '../../../src/vault/keys/key-tree.ts';
import {
  encodeInner,
  encodeLeaf,
  depthFor,
  FAN_OUT,
  LEAF_BYTES,
  type NodePointer,
} from '../../../src/vault/maps/map-node.ts';
import { MetadataWriter } from '../../../src/vault/maps/metadata-writer.ts';
import { DirectoryObjectStore } from '../../../src/vault/object-stores/folder/directory.ts';
import { diskDocument } from '../../../src/vault/points/point-maps.ts';
import { newUlid } from '../../../src/vault/bytes/ulid.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import type { VaultInside } from '../../../src/vault/vault-inside.ts';
import type { IndexPlace } from './index-lab.ts';
import {
  CHUNK_SECTORS,
  PACK_SLOTS,
  SyntheticStore,
  syntheticIds,
  syntheticPack,
} from './synthetic-store.ts';

/** A disk of 1 TiB; a leaf of its map lies in one pack. */
const DISK_LEAVES = 16_384;
export const DISK_BYTES = DISK_LEAVES * LEAF_BYTES;
/** Of the first disk; these leaves are whole, so that something can be built on them. */
const WHOLE_LEAVES = 64;
const KEYRING = 'keyring';
const FORMAT = 'format.json';

export function syntheticVm(index: number): { vmId: string; vmName: string } {
  return {
    vmId: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
    vmName: `vm ${index}`,
  };
}

/**
 * Makes a vault of so many packs, with a point for each TiB: genuine map nodes, points and seals.
 * @param live which slots of a pack its points need: all of them, or every other one, by chance
 */
export async function makeSyntheticVault(
  folder: string,
  packs: number,
  live: 'all' | 'half',
): Promise<void> {
  const inner = new DirectoryObjectStore(join(folder, 'vault'));
  const parameters = { packBytes: 64 * 1024 * 1024 };
  const { vault } = await createVault(inner, { parameters });
  await writeFile(join(folder, KEYRING), vault.exportKey());
  const { vaultId, chunkId } = vault.inside.format;
  await writeFile(join(folder, FORMAT), JSON.stringify({ vaultId, chunkId }));
  for (let disk = 0; disk * DISK_LEAVES < packs; disk++) {
    const first = disk * DISK_LEAVES;
    await writePoint(vault, disk, { first, end: Math.min(packs, first + DISK_LEAVES), live });
  }
  await vault.close();
  await inner.close();
}

/** The same vault with its packs. */
export async function syntheticPlace(folder: string, packs: number): Promise<IndexPlace> {
  const format = JSON.parse(await readFile(join(folder, FORMAT), 'utf8')) as {
    vaultId: string;
    chunkId: 'blake3';
  };
  const vaultId = Buffer.from(format.vaultId, 'hex');
  const keys = new KeyTree(await readFile(join(folder, KEYRING)), vaultId);
  const context = { vaultId, chunkId: format.chunkId, keyVersion: 0 };
  const others = new DirectoryObjectStore(join(folder, 'vault'));
  const store = new SyntheticStore({ keys, context }, packs, others);
  return { keys, context, store, packs, cacheFolder: join(folder, 'cache') };
}

interface SyntheticMap {
  readonly first: number;
  readonly end: number;
  readonly live: 'all' | 'half';
}

async function writePoint(vault: Vault, disk: number, map: SyntheticMap): Promise<void> {
  const { nodes, points, clock, base } = vault.inside;
  const metadata = new MetadataWriter(nodes, clock);
  const root = await writeMap(vault.inside, metadata, map);
  await metadata.finish(signal);
  const statistics = { readBytes: DISK_BYTES, newBytes: DISK_BYTES, storedBytes: DISK_BYTES };
  const stored = {
    disk: {
      diskId: DISK,
      name: 'system',
      sizeBytes: DISK_BYTES,
      method: 'full',
      reason: 'first-backup',
      statistics,
    } as const,
    root: { sizeBytes: DISK_BYTES, depth: depthFor(DISK_BYTES), pointer: root },
  };
  const document = {
    ...syntheticVm(disk),
    id: newUlid(clock.nowMs()),
    takenAtMs: clock.nowMs(),
    consistency: 'crash' as const,
    notes: [],
    configuration: {},
    disks: [diskDocument(stored, base.numbers)],
    files: [],
  };
  const object = await points.put(document, signal);
  await points.seal(document, object, signal);
}

async function writeMap(
  { base }: VaultInside,
  metadata: MetadataWriter,
  { first, end, live }: SyntheticMap,
): Promise<NodePointer> {
  const add = async (node: Uint8Array): Promise<NodePointer> => metadata.add(node, signal);
  let level: NodePointer[] = [];
  for (let index = first; index < end; index++) {
    const isWhole = live === 'all' || index < WHOLE_LEAVES;
    const pack = base.numbers.of(syntheticPack(index));
    const fragments = [...fragmentsOf(pack, index, isWhole ? undefined : liveBits(index))];
    // Proven only where something will be built on it: it takes minutes for all of them.
    const key = base.keys.purpose('map');
    const mac = contentMac(key, index < WHOLE_LEAVES ? fragments : []);
    const extents = collapseFragments(fragments);
    level.push(await add(encodeLeaf({ contentMac: mac, extents }, base.numbers)));
  }
  for (let height = 1; height <= depthFor(DISK_BYTES); height++) {
    const above: NodePointer[] = [];
    for (let at = 0; at < level.length; at += FAN_OUT) {
      const children = new Map(level.slice(at, at + FAN_OUT).entries());
      above.push(await add(encodeInner(height, children, base.numbers)));
    }
    level = above;
  }
  const [root] = level;
  if (root === undefined) {
    throw new Error('there is no disk without packs');
  }
  return root;
}

function* fragmentsOf(pack: number, index: number, bits: Buffer | undefined): Iterable<Fragment> {
  const ids = syntheticIds(index);
  for (let slot = 0; slot < PACK_SLOTS; slot++) {
    if (bits === undefined || ((bits[slot >> 3] ?? 0) & (1 << (slot & 7))) !== 0) {
      const start = slot * CHUNK_SECTORS;
      const id = ids.subarray(slot * 16, slot * 16 + 16);
      const sectors = CHUNK_SECTORS;
      yield { start, sectors, pack, slot, first: 0, slotSectors: sectors, id };
    }
  }
}

/** How many slots the points need. */
export function liveSlots(packs: number, live: 'all' | 'half'): number {
  let count = 0;
  for (let pack = 0; pack < packs; pack++) {
    const isWhole = live === 'all' || pack < WHOLE_LEAVES;
    count += isWhole ? PACK_SLOTS : bitsIn(liveBits(pack));
  }
  return count;
}

function bitsIn(bits: Buffer): number {
  let count = 0;
  for (let slot = 0; slot < PACK_SLOTS; slot++) {
    count += ((bits[slot >> 3] ?? 0) >> (slot & 7)) & 1;
  }
  return count;
}

/** A bit for each slot, by chance, the same each time. */
function liveBits(pack: number): Buffer {
  const iv = Buffer.alloc(16);
  iv.writeUInt32BE(pack, 0);
  const bits = Buffer.alloc(Math.ceil(PACK_SLOTS / 8));
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, 'live'), iv).update(bits);
}
