import { unlessDamaged } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { joinAliases, type Alias, type SlotName } from '../packs/aliases.ts';
import { SECTOR_BYTES } from '../chunks/chunk-cut.ts';
import type { ContentExtent } from '../../disk/extent.ts';
import { packKey, packPrefix, parsePackKey, type PackKind } from '../format/object-names.ts';
import { LEAF_BYTES } from '../maps/map-node.ts';
import type { MapTree } from '../maps/map-tree.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import type { SlotReference } from '../packs/open-pack.ts';
import { missing } from '../packs/pack-faults.ts';
import type { Packs } from '../packs/packs.ts';
import { DamagedSlots } from '../damage/damaged-slots.ts';
import { numbersOf } from '../checks/lost-slots.ts';
import type { SlotSet } from '../slots/slot-set.ts';
import type { Ulid } from '../bytes/ulid.ts';

export interface HealingParts {
  readonly packs: Packs;
  readonly log: Log;
  /** Condemned slots are never healed, and never used to heal others. */
  readonly condemned: SlotSet;
}

/**
 * What a writer knows of damage. It does not build on slots that nobody can read any more. When the
 * content of one comes along again, it is stored anew, and an alias tells every older point where.
 */
export class Healing {
  readonly #parts: HealingParts;
  readonly #damaged: DamagedSlots;
  /** By id in hex: the lost slots that had this content. */
  readonly #wanted = new Map<string, SlotName[]>();
  readonly #healed = new Map<string, Pick<Alias, 'from' | 'to'>>();

  private constructor(parts: HealingParts, damaged: DamagedSlots) {
    this.#parts = parts;
    this.#damaged = damaged;
  }

  /** Reads `bad/` and, if it lists anything, `alias/` and the footers of the packs concerned. */
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

  get knowsNoDamage(): boolean {
    return this.#damaged.isEmpty;
  }

  /** W0.d: whether the slot is damaged and not whole under any other name. */
  isLost({ pack, slot }: SlotReference): boolean {
    return !this.knowsNoDamage && this.#isLost({ ulid: this.#ulid(pack), slot });
  }

  /**
   * W0.e: returns the parts of a disk that must be read again because its last map needs lost
   * slots.
   * @throws Fault `vault.pack-missing` if the map itself is lost
   */
  async lostExtents(tree: MapTree, signal: AbortSignal): Promise<ContentExtent[]> {
    if (this.knowsNoDamage) {
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

  /** Call it for a slot with this id that is in the vault, or will be before the point is. */
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

  /** W1.b: tells older points where the lost content is now. All packs must be in the vault. */
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
      if (this.#damaged.touches(ulid)) {
        await this.#learnIdsOf(ulid, signal);
      }
    }
  }

  async #learnIdsOf(ulid: Ulid, signal: AbortSignal): Promise<void> {
    const number = this.#parts.packs.base.numbers.find(ulid) ?? (await this.#find(ulid, signal));
    if (number === undefined) {
      // The pack was collected, so nobody needs what it had.
      return;
    }
    const known = new Set<number>();
    for await (const footer of this.#footers(number, signal)) {
      for (let slot = 0; slot < footer.slots; slot++) {
        if (footer.size(slot) > 0 && !known.has(slot)) {
          known.add(slot);
          this.#want({ ulid, slot }, footer.id(slot));
        }
      }
      if (this.#areListed(ulid, known)) {
        return;
      }
    }
    if (known.size === 0) {
      this.#parts.log.warn('vault.damage-without-ids', { pack: ulid });
    }
  }

  #want(name: SlotName, idBytes: Uint8Array): void {
    if (!this.#parts.condemned.has(name.ulid, name.slot) && this.#isLost(name)) {
      const id = Buffer.from(idBytes).toString('hex');
      this.#wanted.set(id, [...(this.#wanted.get(id) ?? []), name]);
    }
  }

  /** Whether these are all slots of the pack that were ever listed. */
  #areListed(ulid: Ulid, known: ReadonlySet<number>): boolean {
    return [...this.#damaged.lists].every(({ slots }) => {
      const ranges = slots.of(ulid) ?? [];
      return ranges !== 'all' && [...numbersOf(ranges)].every((slot) => known.has(slot));
    });
  }

  /**
   * Yields the footer of the generation that usually serves the pack, from the vault or the cache,
   * and then those of the others: a damaged generation may have no footer, and a rewritten one may
   * lack slots.
   */
  async *#footers(number: number, signal: AbortSignal): AsyncIterable<PackFooter> {
    const { packs } = this.#parts;
    const { numbers } = packs.base;
    const usual = await unlessDamaged(async () => packs.open(number, signal));
    if (usual !== undefined) {
      yield usual.footer;
    }
    for (const name of await packs.generations(numbers.name(number), signal)) {
      const other =
        packKey(name) === usual?.objectKey
          ? undefined
          : await unlessDamaged(async () => packs.openExact(name, signal));
      if (other !== undefined) {
        yield other.footer;
      }
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
