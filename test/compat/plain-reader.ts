import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { decrypt, Fields, hkdf, u16 } from './plain-bytes.ts';
import { packReferences, PlainPacks, type PackReference } from './plain-packs.ts';
import { PlainVault } from './plain-vault.ts';

/*
 * A reader of vaults in folders that was written from docs/vault-format.md and uses nothing of
 * src/: what it cannot read, the document does not say. Slow and short; anything wrong is an
 * assertion.
 */

const SECTOR = 4096;
const LEAF_BYTES = 64 * 1024 * 1024;

interface Pointer {
  readonly pack: PackReference;
  readonly slot: number;
  readonly mac: string;
}
interface PlainPoint {
  readonly id: string;
  readonly vmId: string;
  readonly disks: readonly {
    readonly name: string;
    readonly sizeBytes: number;
    readonly depth: number;
    readonly root?: Pointer;
  }[];
  readonly files: readonly { readonly name: string; readonly slots: readonly Pointer[] }[];
}
export class PlainReader {
  readonly #vault: PlainVault;
  readonly #packs: PlainPacks;

  /** @param secret a passphrase, or the text of a recovery file */
  constructor(folder: string, secret: string) {
    this.#vault = new PlainVault(folder, secret);
    this.#packs = new PlainPacks(this.#vault);
  }

  /** Sections 5, 8 and 11: points with a seal that were not given up. */
  points(): PlainPoint[] {
    const { publicKey, earlier, confirmed } = this.#vault.format.retention;
    const list =
      confirmed === undefined ? undefined : this.#vault.signed(confirmed, 11, [publicKey]);
    const before = JSON.parse(String(list ?? '{}')) as Record<string, string[]>;
    return this.#vault.list(/^s\/[^.]+\.ok$/).flatMap((seal) => {
      const key = seal.slice(0, -3);
      const [, vmId = '', id = ''] = key.split('/');
      const retire = `retire/${vmId}/${id}`;
      if (this.#vault.has(retire)) {
        const isConfirmed = before[vmId]?.includes(id) === true;
        const body = this.#vault.signed(retire, 3, [publicKey, ...(isConfirmed ? earlier : [])]);
        if (body !== undefined && (JSON.parse(body.toString()) as { point: string }).point === id) {
          return [];
        }
      }
      const said = JSON.parse(this.#vault.control(seal, 2).toString()) as {
        point: string;
        sha256: string;
      };
      const object = this.#vault.get(key);
      assert.deepEqual(said, {
        point: id,
        sha256: createHash('sha256').update(object).digest('hex'),
      });
      const header = object.subarray(0, 64);
      assert.equal(header.toString('latin1', 0, 8), 'HKPOIN00');
      assert.equal(crc32(header.subarray(0, 60)), header.readUInt32LE(60));
      const own = hkdf(this.#vault.derive('point', header.readUInt16LE(12)), '', key);
      const json = decrypt(own, 0, header, object.subarray(64));
      assert(json !== undefined);
      return [JSON.parse(json.toString()) as PlainPoint];
    });
  }

  disk({ sizeBytes, depth, root }: PlainPoint['disks'][number]): Buffer {
    const leaves = 256 ** depth * LEAF_BYTES;
    assert(leaves >= sizeBytes && (depth === 0 || leaves / 256 < sizeBytes));
    const content = Buffer.alloc(Math.ceil(sizeBytes / SECTOR) * SECTOR);
    if (root !== undefined) {
      this.#node(root, depth, content);
    }
    return content.subarray(0, sizeBytes);
  }

  file({ slots }: PlainPoint['files'][number]): Buffer {
    return Buffer.concat(slots.map((slot) => this.#proven(slot)));
  }

  #proven({ pack, slot, mac }: Pointer): Buffer {
    const { content } = this.#packs.slot('m', pack, slot);
    assert.equal(this.#vault.mac16('map', content).toString('hex'), mac);
    return content;
  }

  /** Section 7. */
  #node(pointer: Pointer, level: number, target: Buffer): void {
    const node = new Fields(this.#proven(pointer));
    if (level === 0) {
      this.#leaf(node, target);
      return;
    }
    assert.deepEqual([node.u8(), node.u8()], [2, level]);
    const packs = packReferences(node);
    const span = LEAF_BYTES * 256 ** (level - 1);
    let next = 0;
    for (let left = node.varint(); left > 0; left--) {
      const index = next + node.varint();
      const pack = packs[node.varint()];
      assert(pack !== undefined);
      const child = { pack, slot: node.varint(), mac: node.bytes(16).toString('hex') };
      this.#node(child, level - 1, target.subarray(index * span));
      next = index + 1;
    }
    node.end();
  }

  #leaf(node: Fields, target: Buffer): void {
    assert.equal(node.u8(), 1);
    const mac = node.bytes(16);
    const packs = packReferences(node);
    const lastSlot = new Map<number, number>();
    const touched: Buffer[] = [];
    let sector = 0;
    for (let left = node.varint(); left > 0; left--) {
      sector += node.varint();
      const end = sector + node.varint();
      const packAndFlag = node.varint();
      const number = packAndFlag >> 1;
      const pack = packs[number];
      assert(pack !== undefined);
      let slot = (lastSlot.get(number) ?? -1) + 1 + node.zigzag();
      lastSlot.set(number, slot);
      let first = packAndFlag & 1 ? node.varint() : 0;
      for (; sector < end; slot++) {
        const { id, content } = this.#packs.slot('d', pack, slot);
        this.#vault.proveChunk(id, content);
        const sectors = Math.min(content.length / SECTOR - first, end - sector);
        assert(sectors > 0);
        content.copy(target, sector * SECTOR, first * SECTOR, (first + sectors) * SECTOR);
        touched.push(Buffer.concat([id, u16(first), u16(sectors)]));
        sector += sectors;
        first = 0;
      }
    }
    node.end();
    assert.deepEqual(this.#vault.mac16('map', Buffer.from('leaf'), ...touched), mac);
  }
}
