import { crc32 } from 'node:zlib';
import { TAG_BYTES } from '../../src/vault/bytes/aead.ts';
import { openFrame, sealFrame } from '../../src/vault/packs/frame.ts';
import {
  packKey,
  parsePackKey,
  randomSuffix,
  type PackName,
} from '../../src/vault/format/object-names.ts';
import type { ObjectStore } from '../../src/vault/store/object-store.ts';
import { PackDraft } from '../../src/vault/packs/pack-draft.ts';
import { PREFIX_BYTES } from '../../src/vault/packs/pack-layout.ts';
import type { OpenPack } from '../../src/vault/packs/open-pack.ts';
import { newUlid } from '../../src/vault/bytes/ulid.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { changeObject, type Damage } from '../support/vault/vault-damage.ts';
import { signal } from '../support/vault/vault-lab.ts';

/**
 * What somebody can do with the master key and the right to put: every checksum and tag is right.
 */

/** Changes a slot; undefined leaves it out. */
export type Forge = (
  slot: number,
  content: Uint8Array,
  id: Uint8Array,
) => { readonly content: Uint8Array; readonly id: Uint8Array } | undefined;

/** Other content under the same id, in these slots or in all. */
export const otherContent =
  (slots?: ReadonlySet<number>): Forge =>
  (slot, content, id) => {
    const other = Uint8Array.from(content);
    if (slots?.has(slot) !== false) {
      other[0] = (other[0] ?? 0) ^ 1;
    }
    return { content: other, id };
  };

/** The same content under other ids. */
export const otherIds: Forge = (_slot, content, id) => {
  const other = Uint8Array.from(id);
  other[0] = (other[0] ?? 0) ^ 1;
  return { content, id: other };
};

export const same: Forge = (_slot, content, id) => ({ content, id });

export async function openPack({ inside }: Vault, key: string): Promise<OpenPack> {
  const name = parsePackKey(key);
  const open = name && (await inside.packs.openExact(name, signal));
  if (open === undefined) {
    throw new TypeError(`no pack: ${key}`);
  }
  return open;
}

export function nextGeneration(key: string): PackName {
  const name = nameOf(key);
  return { ...name, generation: name.generation + 1, rand: randomSuffix() };
}

export function anotherPack(key: string): PackName {
  return { ...nameOf(key), ulid: newUlid(1_900_000_000_000), generation: 0, rand: randomSuffix() };
}

/**
 * Writes a pack of this name (by default in place of the first) with the slots of another, changed.
 */
export async function forgePack(
  vault: Vault,
  store: ObjectStore,
  key: string,
  { forge, name = nameOf(key) }: { readonly forge: Forge; readonly name?: PackName },
): Promise<string> {
  const { packs } = vault.inside;
  const open = await openPack(vault, key);
  const { footer } = open;
  const object = (await store.get(key, signal)) ?? new Uint8Array();
  const draft = new PackDraft(packs, name);
  const unit = name.kind === 'data' ? 4096 : 1;
  for (const frame of footer.frames) {
    const end = frame.offset + PREFIX_BYTES + frame.sealedBytes;
    const raw = openFrame(open, frame, object.subarray(frame.offset, end));
    for (let slot = frame.firstSlot; slot < frame.firstSlot + frame.slots; slot++) {
      const size = footer.size(slot);
      const from = footer.offsetOf[slot] ?? 0;
      const content = raw.subarray(from, from + size * unit);
      const forged = size === 0 ? undefined : forge(slot, content, footer.id(slot));
      if (forged === undefined) {
        draft.skip(1);
      } else {
        draft.add({ id: Uint8Array.from(forged.id), size }, forged.content);
      }
    }
  }
  await changeObject(store, packKey(name), () => draft.finish().object);
  return packKey(name);
}

/** Replaces a compressed frame by random bytes with a right tag and checksum. */
export const rubbishFrame =
  (open: OpenPack, index: number): Damage =>
  (bytes) => {
    const frame = open.footer.frames[index];
    const copy = Buffer.from(bytes);
    const { offset = 0, sealedBytes = 0 } = frame ?? {};
    const target = copy.subarray(offset, offset + PREFIX_BYTES + sealedBytes);
    sealFrame(open, index, Buffer.alloc(sealedBytes - TAG_BYTES, 0xa5), target);
    return copy;
  };

/** Flips a byte of a frame and corrects its checksum: only the tag shows it. */
export const flipFrame =
  (open: OpenPack, index: number): Damage =>
  (bytes) => {
    const { offset = 0, sealedBytes = 0 } = open.footer.frames[index] ?? {};
    const copy = Buffer.from(bytes);
    const sealed = copy.subarray(offset + PREFIX_BYTES, offset + PREFIX_BYTES + sealedBytes);
    sealed[9] = (sealed[9] ?? 0) ^ 1;
    copy.writeUInt32LE(crc32(sealed), offset + 8);
    return copy;
  };

/** Flips a byte of an id in the footer and corrects both checksums. */
export const flipFooter: Damage = (bytes) => {
  const copy = Buffer.from(bytes);
  const trailer = copy.subarray(copy.length - 64);
  const offset = trailer.readUInt32LE(16);
  const footer = copy.subarray(offset, offset + trailer.readUInt32LE(24));
  const at = footer.length - TAG_BYTES - 5;
  footer[at] = (footer[at] ?? 0) ^ 1;
  trailer.writeUInt32LE(crc32(footer), 28);
  trailer.writeUInt32LE(crc32(trailer.subarray(0, 60)), 60);
  return copy;
};

function nameOf(key: string): PackName {
  const name = parsePackKey(key);
  if (name === undefined) {
    throw new TypeError(`not a pack: ${key}`);
  }
  return name;
}
