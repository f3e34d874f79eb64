import { GarbageRounds } from '../../kernel/memory/garbage.ts';
import { parseOr } from '../bytes/binary.ts';
import { packKey, packPrefix, parsePackKey, type PackName } from '../format/object-names.ts';
import type { OpenPack } from './open-pack.ts';
import { corrupt } from './pack-faults.ts';
import { TRAILER_BYTES } from '../format/pack-ends.ts';
import type { FooterRange } from './pack-layout.ts';
import { openEnd, placeFooter, type PackEnd } from './pack-tail.ts';
import type { VaultBase } from './vault-base.ts';

/** Enough for the footer of a usual pack, or for a whole small one. */
const TAIL_BYTES = 64 * 1024;
/** Each footer leaves 70 KB of dead buffers behind, encrypted and decrypted. */
const FOOTERS_PER_COLLECTION = { young: 16, all: 256, room: 2048 };

/** A part of an object, in bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** Reads objects that hold packs from the store, and keeps nothing of them. */
export class PackReader {
  readonly base: VaultBase;
  readonly #garbage = new GarbageRounds(FOOTERS_PER_COLLECTION);
  /** GETs sent and bytes received. */
  readonly traffic = { requests: 0, bytes: 0 };

  constructor(base: VaultBase) {
    this.base = base;
  }

  /** Lists the generations of a logical pack in the store, newest first. */
  async generations(
    pack: Pick<PackName, 'kind' | 'ulid'>,
    signal: AbortSignal,
  ): Promise<PackName[]> {
    const names: PackName[] = [];
    for await (const { key } of this.base.store.list(packPrefix(pack), signal)) {
      const name = parsePackKey(key);
      if (name?.ulid === pack.ulid && name.kind === pack.kind) {
        names.push(name);
      }
    }
    return names.sort((a, b) => b.generation - a.generation || (a.rand < b.rand ? 1 : -1));
  }

  /**
   * Reads an object from its footer on, or more.
   * @returns undefined if it is not there
   * @throws Fault `vault.pack-corrupt`
   */
  async end(name: PackName, signal: AbortSignal): Promise<PackEnd | undefined> {
    const guessed = await this.#suffix(name, TAIL_BYTES, signal);
    if (guessed === undefined) {
      return undefined;
    }
    const needed = guessed.objectSize - this.footerRange(name, guessed).offset;
    return needed <= guessed.tail.length ? guessed : this.#suffix(name, needed, signal);
  }

  /**
   * Checks by the trailer alone that a pack has its full length.
   * @returns false if it is not there
   * @throws Fault `vault.pack-corrupt`
   */
  async hasFullLength(name: PackName, signal: AbortSignal): Promise<boolean> {
    const trailer = await this.#suffix(name, TRAILER_BYTES, signal);
    if (trailer === undefined) {
      return false;
    }
    this.footerRange(name, trailer);
    return true;
  }

  /** @throws Fault `vault.pack-corrupt` */
  footerRange(name: PackName, end: PackEnd): FooterRange {
    return parseOr(
      (why, cause) => corrupt(name, why, cause),
      () => placeFooter(this.base, name, end),
    );
  }

  /** @throws Fault `vault.pack-corrupt` */
  decode(name: PackName, end: PackEnd): OpenPack {
    this.#garbage.turn();
    const { keys, footer } = parseOr(
      (why, cause) => corrupt(name, why, cause),
      () => openEnd(this.base, name, end),
    );
    const open = { ...keys, name, objectKey: packKey(name), objectSize: end.objectSize, footer };
    return name.kind === 'metadata' ? { ...open, tail: end.tail } : open;
  }

  /**
   * Reads a part of a pack.
   * @returns undefined if the object is gone
   * @throws Fault `vault.pack-corrupt`
   */
  async range(
    pack: OpenPack,
    range: ByteRange,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const tailOffset = pack.objectSize - (pack.tail?.length ?? 0);
    if (pack.tail !== undefined && range.offset >= tailOffset) {
      const at = range.offset - tailOffset;
      return pack.tail.subarray(at, at + range.length);
    }
    this.traffic.requests += 1;
    const part = await this.base.store.getRange(pack.objectKey, range, signal);
    if (part === undefined) {
      return undefined;
    }
    this.traffic.bytes += part.data.length;
    if (part.objectSize !== pack.objectSize || part.data.length !== range.length) {
      throw corrupt(pack.name, 'it has another size than before');
    }
    return part.data;
  }

  /** Returns where workers can read a part of a pack themselves, if the store has it in a file. */
  localRange(
    pack: OpenPack,
    { offset, length }: ByteRange,
  ): ({ readonly path: string } & ByteRange) | undefined {
    const path = this.base.store.localFile?.(pack.objectKey, length);
    if (path === undefined) {
      return undefined;
    }
    this.traffic.requests += 1;
    this.traffic.bytes += length;
    return { path, offset, length };
  }

  async #suffix(name: PackName, length: number, signal: AbortSignal): Promise<PackEnd | undefined> {
    this.traffic.requests += 1;
    const part = await this.base.store.getRange(packKey(name), { suffix: length }, signal);
    this.traffic.bytes += part?.data.length ?? 0;
    return part && { objectSize: part.objectSize, tail: part.data };
  }
}
