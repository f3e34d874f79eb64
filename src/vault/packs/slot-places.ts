import { type Fault, integrityOrThrow } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { Aliases } from './aliases.ts';
import { packKey, type PackName } from '../format/object-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import type { OpenPack, PlacedSlot, SlotReference } from './open-pack.ts';
import { corrupt, missing } from './pack-faults.ts';
import type { PackNumbers } from './pack-numbers.ts';
import { Lru } from '../../kernel/memory/lru.ts';

/** Limit for footers of objects other than the one that usually serves their pack. */
const OTHER_FOOTERS_BYTES_MAX = 8 * 1024 * 1024;
/** How often a slot is looked for elsewhere: generations and packs may vanish one after another. */
const PLACES_TRIED_MAX = 8;

/** Opens packs; `Packs` implements it. */
export interface PackSource {
  readonly base: {
    readonly store: ObjectStore;
    readonly keys: KeyTree;
    readonly numbers: PackNumbers;
  };
  open(number: number, signal: AbortSignal): Promise<OpenPack>;
  openExact(name: PackName, signal: AbortSignal): Promise<OpenPack | undefined>;
  generations(
    pack: Pick<PackName, 'kind' | 'ulid'>,
    signal: AbortSignal,
  ): Promise<readonly PackName[]>;
  forget(pack: OpenPack): Promise<void>;
}

/** Finds slots: in the generations of their packs, and where aliases lead. */
export class SlotPlaces {
  readonly aliases: Aliases;
  readonly #source: PackSource;
  readonly #others = new Lru<ObjectKey, OpenPack>(OTHER_FOOTERS_BYTES_MAX);
  /** Frames and slots that turned out damaged: `object/frame`, `object#slot`. */
  readonly #damaged = new Map<string, Fault>();
  /** Packs without any generation: most were merged into others. */
  readonly #missing = new Set<number>();
  /** Packs for which a listing of `alias/` found nothing. */
  readonly #withoutAlias = new Set<number>();

  constructor(source: PackSource, log: Log) {
    this.#source = source;
    this.aliases = new Aliases(source.base, log);
  }

  /** Drops an object that is gone; its pack may be elsewhere by now. */
  forget({ name, objectKey }: Pick<OpenPack, 'name' | 'objectKey'>): void {
    const number = this.#source.base.numbers.find(name.ulid);
    if (number !== undefined) {
      this.#withoutAlias.delete(number);
    }
    this.#others.delete(objectKey);
  }

  /**
   * Returns where the content of a slot is. Call it for each use: packs can be compacted and merged
   * at any time, and then the slot lies in another object.
   * @throws Fault `vault.pack-missing`, `vault.pack-corrupt`
   */
  async place(reference: SlotReference, signal: AbortSignal): Promise<PlacedSlot> {
    const { pack, slot, id, via } = reference;
    const name = this.#source.base.numbers.name(pack);
    const isKnownMissing = this.#missing.has(pack);
    // Faults are expensive to make, and restores come here for every chunk.
    let failure: (() => Fault) | undefined;
    if (!isKnownMissing) {
      try {
        const open = await this.#source.open(pack, signal);
        if (this.#has(open, { slot, id })) {
          return { pack, slot, open };
        }
        failure = () => this.#damageOf(open, slot) ?? withoutSlot(open, slot);
      } catch (error) {
        const fault = integrityOrThrow(error);
        if (fault.code === 'vault.pack-missing') {
          this.#missing.add(pack);
        }
        failure = () => fault;
      }
    }
    const placed = await this.#elsewhere(reference, signal);
    if (placed !== undefined) {
      return placed;
    }
    if (via !== undefined) {
      return this.place({ ...via, ...(id === undefined ? {} : { id }) }, signal);
    }
    if (isKnownMissing) {
      // A repair may have brought the pack back.
      this.#missing.delete(pack);
      return this.place(reference, signal);
    }
    throw failure?.() ?? missing(name);
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
    let placed = await this.place(reference, signal);
    for (let tried = 1; ; tried++) {
      try {
        return await use(placed);
      } catch (error) {
        await this.avoid(placed, integrityOrThrow(error));
        if (tried >= PLACES_TRIED_MAX) {
          throw error;
        }
        try {
          placed = await this.place(reference, signal);
        } catch (another) {
          integrityOrThrow(another);
          throw error;
        }
      }
    }
  }

  #has({ footer, objectKey }: OpenPack, { slot, id }: WantedSlot): boolean {
    if (footer.size(slot) === 0 || (id !== undefined && !footer.hasId(slot, id))) {
      return false;
    }
    return this.#damaged.size === 0 || this.#damageOf({ footer, objectKey }, slot) === undefined;
  }

  #damageOf(
    { footer, objectKey }: Pick<OpenPack, 'footer' | 'objectKey'>,
    slot: number,
  ): Fault | undefined {
    const frame = footer.frameOf[slot] ?? 0;
    return this.#damaged.get(`${objectKey}/${frame}`) ?? this.#damaged.get(`${objectKey}#${slot}`);
  }

  /** Looks for a slot in another generation of its pack, then under another name. */
  async #elsewhere(
    { pack, slot, id }: SlotReference,
    signal: AbortSignal,
  ): Promise<PlacedSlot | undefined> {
    const name = this.#source.base.numbers.name(pack);
    const own = this.#missing.has(pack)
      ? undefined
      : await this.#inGeneration(name, { slot, id }, signal);
    if (own !== undefined) {
      return { pack, slot, open: own };
    }
    const start = { ulid: name.ulid, slot };
    if (this.aliases.of(start).length === 0 && !this.#withoutAlias.has(pack)) {
      await this.aliases.read(signal);
      this.#withoutAlias.add(pack);
    }
    for (const other of this.aliases.chain(start)) {
      const wanted = { slot: other.slot, id };
      const open = await this.#open({ kind: name.kind, ...other }, wanted, signal);
      if (open !== undefined) {
        return { pack: this.#source.base.numbers.of(open.name), slot: other.slot, open };
      }
    }
    return undefined;
  }

  /** Opens the object that usually serves a pack if it has the slot, else another generation. */
  async #open(
    pack: Pick<PackName, 'kind' | 'ulid'>,
    wanted: WantedSlot,
    signal: AbortSignal,
  ): Promise<OpenPack | undefined> {
    const number = this.#source.base.numbers.find(pack.ulid);
    if (number !== undefined) {
      try {
        const open = await this.#source.open(number, signal);
        if (this.#has(open, wanted)) {
          return open;
        }
      } catch (error) {
        // The pack was merged again, or is damaged: its generations tell.
        integrityOrThrow(error);
      }
    }
    return this.#inGeneration(pack, wanted, signal);
  }

  async #inGeneration(
    pack: Pick<PackName, 'kind' | 'ulid'>,
    wanted: WantedSlot,
    signal: AbortSignal,
  ): Promise<OpenPack | undefined> {
    for (const name of await this.#source.generations(pack, signal)) {
      try {
        const open =
          this.#others.get(packKey(name)) ?? (await this.#source.openExact(name, signal));
        if (open !== undefined) {
          this.#others.set(open.objectKey, open, open.footer.bytes + (open.tail?.length ?? 0));
        }
        if (open !== undefined && this.#has(open, wanted)) {
          return open;
        }
      } catch (error) {
        // A damaged generation counts as missing here; a caller that opens it by name gets the
        // fault.
        integrityOrThrow(error);
      }
    }
    return undefined;
  }

  /** Remembers a bad place so that `place` skips it. */
  async avoid({ open, slot }: PlacedSlot, fault: Fault): Promise<void> {
    const { code, context } = fault;
    if (code === 'vault.chunk-corrupt' && context['slot'] === slot) {
      // Other slots of the frame may be whole.
      this.#damaged.set(`${open.objectKey}#${slot}`, fault);
    } else if (code === 'vault.chunk-corrupt' || code === 'vault.map-corrupt') {
      this.#damaged.set(`${open.objectKey}/${open.footer.frameOf[slot] ?? 0}`, fault);
    } else {
      await this.#source.forget(open);
    }
  }
}

interface WantedSlot {
  readonly slot: number;
  readonly id: Uint8Array | undefined;
}

function withoutSlot({ name, footer }: OpenPack, slot: number): Fault {
  return footer.size(slot) === 0
    ? missing(name, slot)
    : corrupt(name, `its slot ${slot} is not the one that the point was made of`);
}
