import type { Fault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { Aliases } from './aliases.ts';
import { packKey, type PackName } from './layout.ts';
import type { ObjectKey, ObjectStore } from './object-store.ts';
import type { KeyTree } from './key-tree.ts';
import type { OpenPack, PlacedSlot, SlotReference } from './open-pack.ts';
import { corrupt, integrityOrThrow, missing } from './pack-faults.ts';
import type { PackNumbers } from './pack-numbers.ts';
import { Recent } from './recent.ts';

/** Of objects that are open beside the one that usually serves their pack. */
const OTHER_FOOTERS_BYTES_MAX = 8 * 1024 * 1024;
/** How often a slot is looked for elsewhere: generations and packs may go one after another. */
const PLACES_TRIED_MAX = 8;

/** Where packs come from: `Packs`. */
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
  readonly #others = new Recent<ObjectKey, OpenPack>(OTHER_FOOTERS_BYTES_MAX);
  /**
   * Frames and slots that did not come back as they were written: `object/frame`, `object#slot`.
   */
  readonly #damaged = new Map<string, Fault>();
  /** Packs of which no generation was found: merged into others. */
  readonly #gone = new Set<number>();
  /** Packs for which `alias/` was listed in vain. */
  readonly #withoutAlias = new Set<number>();

  constructor(source: PackSource, log: Log) {
    this.#source = source;
    this.aliases = new Aliases(source.base, log);
  }

  /** The object is gone; the pack may be elsewhere by now. */
  forget({ name, objectKey }: Pick<OpenPack, 'name' | 'objectKey'>): void {
    const number = this.#source.base.numbers.find(name.ulid);
    if (number !== undefined) {
      this.#withoutAlias.delete(number);
    }
    this.#others.delete(objectKey);
  }

  /**
   * Where the content of a slot is. Asked again whenever it is used: packs are compacted and merged
   * at any time, and then the same slot lies in another object.
   * @throws Fault `vault.pack-missing`, `vault.pack-corrupt`
   */
  async place(reference: SlotReference, signal: AbortSignal): Promise<PlacedSlot> {
    const { pack, slot, id, via } = reference;
    const name = this.#source.base.numbers.name(pack);
    const isKnownGone = this.#gone.has(pack);
    // Making a fault is dear, and restores come here for every chunk.
    let failure: (() => Fault) | undefined;
    if (!isKnownGone) {
      try {
        const open = await this.#source.open(pack, signal);
        if (this.#has(open, { slot, id })) {
          return { pack, slot, open };
        }
        failure = () => this.#damageOf(open, slot) ?? withoutSlot(open, slot);
      } catch (error) {
        const fault = integrityOrThrow(error);
        if (fault.code === 'vault.pack-missing') {
          this.#gone.add(pack);
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
    if (isKnownGone) {
      // A repair may have brought it back.
      this.#gone.delete(pack);
      return this.place(reference, signal);
    }
    throw failure?.() ?? missing(name);
  }

  /**
   * Uses a slot where it is. When the object turns out gone or damaged, the slot is looked for in
   * other generations and under other names.
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

  /** In another generation of its pack, else under another name. */
  async #elsewhere(
    { pack, slot, id }: SlotReference,
    signal: AbortSignal,
  ): Promise<PlacedSlot | undefined> {
    const name = this.#source.base.numbers.name(pack);
    const own = this.#gone.has(pack)
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

  /** What usually serves a pack, if it has the slot; else any generation. */
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
        // Merged once more, or damaged: the generations tell.
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
        // A damaged generation is as good as none here; whoever asked for it by name hears of it.
        integrityOrThrow(error);
      }
    }
    return undefined;
  }

  /** What was found wrong with a place, so that it is not taken again. */
  async avoid({ open, slot }: PlacedSlot, fault: Fault): Promise<void> {
    const { code, context } = fault;
    if (code === 'vault.chunk-corrupt' && context['slot'] === slot) {
      // Its neighbours in the frame may be what they should be.
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
