import { isFault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { joinAliases, type Alias, type SlotName } from '../aliases.ts';
import { SECTOR_BYTES } from '../chunk-cut.ts';
import type { ContentExtent } from '../../disk/extent.ts';
import { packPrefix, parsePackKey, type PackKind } from '../layout.ts';
import { LEAF_BYTES } from '../map-node.ts';
import type { MapTree } from '../map-tree.ts';
import type { PackFooter } from '../pack-layout.ts';
import { missing, type Packs, type SlotReference } from '../packs.ts';
import { DamagedSlots } from '../proof/damaged-slots.ts';
import type { SlotSet } from '../slot-set.ts';
import type { Ulid } from '../ulid.ts';

export interface HealingParts {
  readonly packs: Packs;
  readonly log: Log;
  /** Never healed and never a remedy. */
  readonly condemned: SlotSet;
}

/**
 * What a writer knows of damage: slots that nobody can read any more. It does not build on them, and when the content of
 * one comes along again it is stored anew, and an alias tells every older point where.
 */
export class Healing {
  readonly #parts: HealingParts;
  readonly #damaged: DamagedSlots;
  /** Per id in hex, the lost slots that had this content. */
  readonly #wanted = new Map<string, SlotName[]>();
  readonly #healed = new Map<string, Pick<Alias, 'from' | 'to'>>();

  private constructor(parts: HealingParts, damaged: DamagedSlots) {
    this.#parts = parts;
    this.#damaged = damaged;
  }

  /** Reads `bad/`, and if there is anything in it `alias/` and the footers of the packs concerned. */
  static async begin(parts: HealingParts, signal: AbortSignal): Promise<Healing> {
    const damaged = new DamagedSlots(parts.packs.base, parts.log);
    await damaged.read(signal);
    const healing = new Healing(parts, damaged);
    if (!damaged.isEmpty) {
      await parts.packs.aliases.read(signal);
      await healing.#learnIds(signal);
    }
    return healing;
  }

  get isIdle(): boolean {
    return this.#damaged.isEmpty;
  }

  /** Whether the slot is damaged and has no other name under which it is whole. */
  isLost({ pack, slot }: SlotReference): boolean {
    return !this.isIdle && this.#isLost({ ulid: this.#ulid(pack), slot });
  }

  /**
   * What of a disk has to be read again because its last map needs slots that are lost.
   * @throws Fault `vault.pack-missing` if the map itself is lost
   */
  async lostExtents(tree: MapTree, signal: AbortSignal): Promise<ContentExtent[]> {
    if (this.isIdle) {
      return [];
    }
    for await (const pointer of tree.nodePointers(signal)) {
      if (this.isLost(pointer)) {
        throw missing(tree.nodes.base.numbers.name(pointer.pack), pointer.slot);
      }
    }
    const extents: ContentExtent[] = [];
    for await (const { index, pointer } of tree.leaves(signal)) {
      const leaf = await tree.nodes.leaf(pointer, signal);
      if (!leaf.extents.some(({ pack }) => this.#damaged.touches(this.#ulid(pack)))) {
        continue;
      }
      for (const fragment of await tree.nodes.fragments(pointer, signal)) {
        if (this.isLost(fragment)) {
          const offset = index * LEAF_BYTES + fragment.start * SECTOR_BYTES;
          extents.push({ offset, length: fragment.sectors * SECTOR_BYTES, content: 'data' });
        }
      }
    }
    return extents;
  }

  /** A slot with this id is in the vault, or will be before the point is. */
  stored(id: Uint8Array, { pack, slot }: SlotReference): void {
    if (this.#wanted.size === 0) {
      return;
    }
    const to = { ulid: this.#ulid(pack), slot };
    for (const from of this.#wanted.get(Buffer.from(id).toString('hex')) ?? []) {
      if (!this.#isLost(to)) {
        this.#healed.set(`${from.ulid}/${String(from.slot)}`, { from, to });
      }
    }
  }

  /** Tells older points where the lost content is now. All packs are in the vault. */
  async finish(signal: AbortSignal): Promise<void> {
    if (this.#healed.size > 0) {
      const aliases = joinAliases([...this.#healed.values()]);
      const key = await this.#parts.packs.aliases.write(aliases, signal);
      this.#parts.log.info('vault.damage-healed', { key, slots: this.#healed.size });
      this.#healed.clear();
    }
  }

  #ulid(pack: number): Ulid {
    return this.#parts.packs.base.numbers.name(pack).ulid;
  }

  #isLost(name: SlotName): boolean {
    const { packs, condemned } = this.#parts;
    return (
      this.#damaged.has(name.ulid, name.slot) &&
      ![...packs.aliases.chain(name)].some(
        ({ ulid, slot }) => !this.#damaged.has(ulid, slot) && !condemned.has(ulid, slot),
      )
    );
  }

  async #learnIds(signal: AbortSignal): Promise<void> {
    const ulids = new Set([...this.#damaged.lists].flatMap(({ slots }) => [...slots.packs()]));
    for (const ulid of ulids) {
      const footer = this.#damaged.touches(ulid) ? await this.#footer(ulid, signal) : undefined;
      for (let slot = 0; slot < (footer?.slots ?? 0); slot++) {
        const name = { ulid, slot };
        if (
          footer !== undefined &&
          footer.size(slot) > 0 &&
          !this.#parts.condemned.has(ulid, slot) &&
          this.#isLost(name)
        ) {
          const id = Buffer.from(footer.id(slot)).toString('hex');
          this.#wanted.set(id, [...(this.#wanted.get(id) ?? []), name]);
        }
      }
    }
  }

  /** From the vault or from the cache; without it nothing tells which content the slots had. */
  async #footer(ulid: Ulid, signal: AbortSignal): Promise<PackFooter | undefined> {
    const { packs } = this.#parts;
    const number = packs.base.numbers.find(ulid) ?? (await this.#find(ulid, signal));
    try {
      return number === undefined ? undefined : (await packs.open(number, signal)).footer;
    } catch (error) {
      if (!isFault(error) || error.kind !== 'integrity') {
        throw error;
      }
      this.#parts.log.warn('vault.damage-without-ids', { pack: ulid });
      return undefined;
    }
  }

  async #find(ulid: Ulid, signal: AbortSignal): Promise<number | undefined> {
    const { store, numbers } = this.#parts.packs.base;
    for (const kind of ['data', 'metadata'] satisfies PackKind[]) {
      for await (const { key } of store.list(packPrefix({ kind, ulid }), signal)) {
        const name = parsePackKey(key);
        if (name !== undefined) {
          return numbers.of(name);
        }
      }
    }
    return undefined;
  }
}
