import assert from 'node:assert/strict';
import { zstdDecompressSync } from 'node:zlib';
import { base32Ulid, decrypt, Fields, hkdf, orNothing } from './plain-bytes.ts';
import type { PlainVault } from './plain-vault.ts';

const SECTOR = 4096;

/** Data or metadata. */
export type Letter = 'd' | 'm';
export interface Slot {
  readonly id: Buffer;
  readonly content: Buffer;
}
interface Pack {
  readonly slots: {
    readonly id: Buffer;
    readonly offset: number;
    readonly size: number;
    readonly frame: number;
  }[];
  readonly frame: (index: number) => Buffer;
}

/** The exact object that a map names. */
export interface PackReference {
  readonly ulid: string;
  readonly generation: number;
  readonly rand: string;
}

/** Slots of packs, for the reader that uses nothing of src/. */
export class PlainPacks {
  readonly #vault: PlainVault;
  readonly #packs = new Map<string, Pack | undefined>();
  readonly #frames = new Map<string, Buffer | undefined>();
  #aliases: { from: string; slot: number; count: number; to: string; toSlot: number }[] | undefined;

  constructor(vault: PlainVault) {
    this.#vault = vault;
  }

  /** Section 11: the exact object, other generations, other names. */
  slot(letter: Letter, pack: PackReference, slot: number, depth = 0): Slot {
    const exact = `.${String(pack.generation)}.${pack.rand}`;
    const generations = this.#vault
      .list(new RegExp(`^${letter}/\\d{6}/${pack.ulid}[.]`))
      .map((key) => key.slice(key.indexOf('.')))
      .sort((a, b) => Number(b === exact) - Number(a === exact) || (a < b ? 1 : -1));
    for (const name of generations) {
      const found = this.#slotOf(letter, `${pack.ulid}${name}`, slot);
      if (found !== undefined) {
        return found;
      }
    }
    assert(depth < 16, 'a slot is lost');
    this.#aliases ??= this.#vault
      .list(/^alias\//)
      .flatMap((key) => readAliases(this.#vault.control(key, 7)));
    const alias = this.#aliases.find(
      ({ from, slot: start, count }) => from === pack.ulid && slot >= start && slot < start + count,
    );
    assert(alias !== undefined, 'a slot is lost');
    const to = { ulid: alias.to, generation: 0, rand: '' };
    return this.slot(letter, to, alias.toSlot + slot - alias.slot, depth + 1);
  }

  #slotOf(letter: Letter, object: string, number: number): Slot | undefined {
    if (!this.#packs.has(object)) {
      this.#packs.set(object, this.#open(letter, object));
    }
    const pack = this.#packs.get(object);
    const slot = pack?.slots[number];
    if (pack === undefined || slot === undefined || slot.size === 0) {
      return undefined;
    }
    const where = `${object}/${String(slot.frame)}`;
    if (!this.#frames.has(where)) {
      this.#frames.set(
        where,
        orNothing(() => pack.frame(slot.frame)),
      );
    }
    const raw = this.#frames.get(where);
    return raw && { id: slot.id, content: raw.subarray(slot.offset, slot.offset + slot.size) };
  }

  /** Section 6. */
  #open(letter: Letter, name: string): Pack {
    const [key = ''] = this.#vault.list(new RegExp(`^${letter}/\\d{6}/${name}$`));
    const object = this.#vault.get(key);
    const header = object.subarray(0, 64);
    const trailer = object.subarray(-64);
    assert.equal(
      header.toString('latin1', 0, 8) + trailer.toString('latin1', 0, 8),
      'HKPACK00HKPEND00',
    );
    assert.deepEqual(header.subarray(8, 16), trailer.subarray(8, 16));
    assert.deepEqual([header[10], header[11], header[12]], [letter === 'd' ? 1 : 2, 1, 1]);
    assert.equal(base32Ulid(header.subarray(32, 48)), name.slice(0, 26));
    const own = hkdf(
      this.#vault.derive(letter === 'd' ? 'data' : 'metadata', header.readUInt16LE(14)),
      '',
      key,
    );
    const offset = Number(trailer.readBigUInt64LE(16));
    const sealed = object.subarray(offset, offset + trailer.readUInt32LE(24));
    const plain = decrypt(own, 0xffffffff, header, sealed);
    assert(plain !== undefined);
    const frames: { offset: number; sealed: number; raw: number; compressed: boolean }[] = [];
    const slots = readFooter(new Fields(plain), letter === 'd' ? SECTOR : 1, frames);
    const frame = (index: number): Buffer => {
      const place = frames[index];
      assert(place !== undefined);
      const prefix = object.subarray(place.offset, place.offset + 12);
      const bound = Buffer.concat([header, prefix.subarray(0, 8)]);
      const from = place.offset + 12;
      const body = decrypt(own, index, bound, object.subarray(from, from + place.sealed));
      assert(body !== undefined);
      const raw = place.compressed ? zstdDecompressSync(body) : body;
      assert.equal(raw.length, place.raw);
      return raw;
    };
    return { slots, frame };
  }
}

function readFooter(
  footer: Fields,
  unit: number,
  frames: { offset: number; sealed: number; raw: number; compressed: boolean }[],
): Pack['slots'] {
  assert.equal(footer.u8(), 0);
  const frameOf: number[] = [];
  let offset = 64;
  for (let left = footer.varint(); left > 0; left--) {
    const [sealed, raw, last] = [footer.varint(), footer.varint(), footer.varint()];
    frameOf.push(...Array.from({ length: last >> 1 }, () => frames.length));
    frames.push({ offset, sealed, raw, compressed: (last & 1) === 1 });
    offset += 12 + sealed;
  }
  const sizes = frameOf.map(() => footer.varint() * unit);
  const ends = new Map<number, number>();
  const slots = sizes.map((size, slot) => {
    const frame = frameOf[slot] ?? 0;
    const start = ends.get(frame) ?? 0;
    ends.set(frame, start + size);
    return { id: size === 0 ? Buffer.alloc(0) : footer.bytes(16), offset: start, size, frame };
  });
  assert.equal(footer.varint(), 0);
  footer.end();
  return slots;
}

export function packReferences(fields: Fields): PackReference[] {
  return Array.from({ length: fields.varint() }, () => ({
    ulid: base32Ulid(fields.bytes(16)),
    generation: fields.varint(),
    rand: fields.bytes(16).toString('hex'),
  }));
}

function readAliases(body: Buffer) {
  const fields = new Fields(body);
  return Array.from({ length: fields.varint() }, () => ({
    from: base32Ulid(fields.bytes(16)),
    slot: fields.varint(),
    count: fields.varint(),
    to: base32Ulid(fields.bytes(16)),
    toSlot: fields.varint(),
  }));
}
