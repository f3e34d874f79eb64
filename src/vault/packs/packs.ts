import type { Fault } from '../../kernel/fault.ts';
import { SilentLog, type Log } from '../../kernel/log.ts';
import type { Aliases } from './aliases.ts';
import { parseOr } from '../bytes/binary.ts';
import type { FooterCache } from './footer-cache.ts';
import { openFrame, type FrameKeys } from './frame.ts';
import type { PackName } from '../format/object-names.ts';
import type { OpenPack, PlacedSlot, SlotReference } from './open-pack.ts';
import { OpenPacks } from './open-packs.ts';
import { damagedFrame, missing } from './pack-faults.ts';
import { PREFIX_BYTES, type PackFrame } from './pack-layout.ts';
import { PackReader, type ByteRange } from './pack-reader.ts';
import { packKeys, type PackEnd } from './pack-tail.ts';
import { SlotPlaces } from './slot-places.ts';
import type { VaultBase } from './vault-base.ts';

const FOOTERS_BYTES_MAX = 64 * 1024 * 1024;

/** The packs of a vault: opens them, finds slots in them and reads frames. */
export class Packs {
  readonly base: VaultBase;
  readonly #reader: PackReader;
  readonly #open: OpenPacks;
  readonly #places: SlotPlaces;

  constructor(
    base: VaultBase,
    cache?: FooterCache,
    log: Log = new SilentLog(),
    footersBytesMax = FOOTERS_BYTES_MAX,
  ) {
    this.base = base;
    this.#reader = new PackReader(base);
    this.#open = new OpenPacks(this.#reader, cache, footersBytesMax);
    this.#places = new SlotPlaces(this, log);
  }

  /** GETs sent and bytes received. */
  get traffic(): { readonly requests: number; readonly bytes: number } {
    return this.#reader.traffic;
  }

  /** What `alias/` said when it was last read. */
  get aliases(): Aliases {
    return this.#places.aliases;
  }

  /**
   * Returns keys for a pack that is being written; an existing pack may have an older key version.
   */
  frameKeys(name: PackName): FrameKeys {
    return packKeys(this.base, name, this.base.keys.version);
  }

  /** @throws Fault `vault.pack-missing`, `vault.pack-corrupt` */
  async open(number: number, signal: AbortSignal): Promise<OpenPack> {
    return this.#open.open(number, signal);
  }

  /**
   * Opens exactly this object, read from the store past all caches.
   * @returns undefined if it is not there
   * @throws Fault `vault.pack-corrupt`
   */
  async openExact(name: PackName, signal: AbortSignal): Promise<OpenPack | undefined> {
    const end = await this.#reader.end(name, signal);
    return end && this.#reader.decode(name, end);
  }

  /**
   * Opens an object that was just listed; uses what is cached of it, because objects never change.
   */
  async openListed(name: PackName, signal: AbortSignal): Promise<OpenPack | undefined> {
    return this.#open.openListed(name, signal);
  }

  /** Learns a pack of this process whose PUT returned. */
  async learn(number: number, end: PackEnd): Promise<void> {
    await this.#open.learn(number, end);
  }

  /** Drops an object that is gone from memory and cache. */
  async forget(pack: Pick<OpenPack, 'name' | 'objectKey'>): Promise<void> {
    this.#places.forget(pack);
    await this.#open.forget(pack);
  }

  /** Lists the generations of a logical pack in the store, newest first. */
  async generations(
    pack: Pick<PackName, 'kind' | 'ulid'>,
    signal: AbortSignal,
  ): Promise<PackName[]> {
    return this.#reader.generations(pack, signal);
  }

  /**
   * Returns where the content of a slot is. Call it for each use: packs can be compacted and merged
   * at any time, and then the slot lies in another object.
   * @throws Fault `vault.pack-missing`, `vault.pack-corrupt`
   */
  async place(reference: SlotReference, signal: AbortSignal): Promise<PlacedSlot> {
    return this.#places.place(reference, signal);
  }

  /**
   * Uses a slot where it is. If the object turns out gone or damaged, looks for the slot in other
   * generations and under other names.
   */
  async withSlot<T>(
    reference: SlotReference,
    signal: AbortSignal,
    use: (placed: PlacedSlot) => Promise<T>,
  ): Promise<T> {
    return this.#places.withSlot(reference, signal, use);
  }

  /** Notes that this place is damaged: the slot is looked for elsewhere from now on. */
  async avoid(placed: PlacedSlot, fault: Fault): Promise<void> {
    await this.#places.avoid(placed, fault);
  }

  /**
   * Checks by the trailer alone that a pack has its full length.
   * @throws Fault `vault.pack-missing`, `vault.pack-corrupt`
   */
  async checkLength(name: PackName, signal: AbortSignal): Promise<void> {
    if (!(await this.#reader.hasFullLength(name, signal))) {
      throw missing(name);
    }
  }

  /** Reads a part of a pack that is known to exist. */
  async range(pack: OpenPack, range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.#reader.range(pack, range, signal);
    if (bytes === undefined) {
      await this.forget(pack);
      throw missing(pack.name);
    }
    return bytes;
  }

  /** Returns where workers can read a part of a pack themselves, if the store has it in a file. */
  localRange(
    pack: OpenPack,
    range: ByteRange,
  ): ({ readonly path: string } & ByteRange) | undefined {
    return this.#reader.localRange(pack, range);
  }

  /**
   * Returns the raw bytes of one frame, decrypted in this thread: for metadata and single reads.
   */
  async frame(pack: OpenPack, frame: PackFrame, signal: AbortSignal): Promise<Uint8Array> {
    const length = PREFIX_BYTES + frame.sealedBytes;
    const sealed = await this.range(pack, { offset: frame.offset, length }, signal);
    return parseOr(
      (why, cause) => damagedFrame(pack, frame.index, why, cause),
      () => openFrame(pack, frame, sealed),
    );
  }
}
