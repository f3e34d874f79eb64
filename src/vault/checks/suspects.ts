import { integrityOrThrow } from '../../kernel/fault.ts';
import { parsePackKey, PREFIXES, type PackName } from '../format/object-names.ts';
import { MapNodes } from '../maps/map-tree.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { Packs } from '../packs/packs.ts';
import type { DamagedSlots } from '../damage/damaged-slots.ts';
import { pointPacks, slotsOfPacks } from './point-packs.ts';
import type { PointDocument } from '../points/point-object.ts';
import type { Ulid } from '../bytes/ulid.ts';
import type { VaultInside } from '../vault-inside.ts';
import { MergedStore } from '../store/merged-store.ts';
import type { SlotName } from '../packs/aliases.ts';
import type { PackId } from './pack-generations.ts';

export interface Suspects {
  readonly suspects: ReadonlyMap<Ulid, PackId>;
  /**
   * The suspects that points need and of which no generation is there. A pack that was merged into
   * others is none.
   */
  readonly missing: readonly PackId[];
  /** Points whose map cannot be walked, so that what they need is not known. */
  readonly unreadablePoints: readonly string[];
}

export interface Hints {
  readonly damaged: DamagedSlots;
  readonly copy?: ObjectStore;
  /** Packs found damaged, whether or not a list has them. */
  readonly suspects?: Iterable<ObjectKey>;
}

/**
 * Returns packs that are listed as damaged, that scrubs found damaged, or that points need and that
 * are gone.
 */
export async function findSuspects(
  inside: VaultInside,
  hints: Hints,
  signal: AbortSignal,
): Promise<Suspects> {
  const { base } = inside;
  const present = await packsIn(base.store, signal);
  const inCopy = hints.copy === undefined ? present : await packsIn(hints.copy, signal);
  const suspects = new Map<Ulid, PackId>();
  const addKey = (key: unknown): void => {
    const name = typeof key === 'string' ? parsePackKey(key) : undefined;
    if (name !== undefined) {
      suspects.set(name.ulid, { kind: name.kind, ulid: name.ulid });
    }
  };
  for (const ulid of [...hints.damaged.lists].flatMap(({ slots }) => [...slots.packs()])) {
    const kind = present.get(ulid) ?? inCopy.get(ulid);
    if (kind !== undefined && hints.damaged.touches(ulid)) {
      suspects.set(ulid, { kind, ulid });
    }
  }
  for (const key of hints.suspects ?? []) {
    addKey(key);
  }
  const { missing, culprits, unreadablePoints } = await missingPacks(
    inside,
    present,
    hints,
    signal,
  );
  for (const { kind, ulid } of missing) {
    suspects.set(ulid, { kind, ulid });
  }
  for (const key of culprits) {
    addKey(key);
  }
  return { suspects, missing, unreadablePoints };
}

/**
 * Returns what points need and what is not there. The copy helps to read maps that have lost parts
 * here.
 */
async function missingPacks(
  inside: VaultInside,
  present: ReadonlyMap<Ulid, unknown>,
  { copy }: Hints,
  signal: AbortSignal,
): Promise<{ missing: PackId[]; culprits: unknown[]; unreadablePoints: string[] }> {
  const store = copy === undefined ? inside.base.store : new MergedStore(inside.base.store, copy);
  const base = { ...inside.base, store };
  const nodes = new MapNodes(base, new Packs(base));
  await nodes.packs.aliases.read(signal);
  const merged = new MergedPacks(nodes, present);
  const missing = new Map<Ulid, PackId>();
  const culprits: unknown[] = [];
  const unreadablePoints: string[] = [];
  for (const point of await inside.points.list(signal)) {
    try {
      const { document } = await inside.points.load(point, signal);
      const packs = await pointPacks({ base, nodes }, document, signal);
      const absent = packs.filter(({ ulid }) => !present.has(ulid));
      for (const { kind, ulid } of await merged.without(absent, document, signal)) {
        missing.set(ulid, { kind, ulid });
      }
    } catch (error) {
      const { context } = integrityOrThrow(error);
      // Reported; if that pack can be mended, the next run sees more.
      culprits.push(context['pack']);
      unreadablePoints.push(point.id);
    }
  }
  return { missing: [...missing.values()], culprits, unreadablePoints };
}

/** Tells packs that were merged into others from those that are lost. */
class MergedPacks {
  readonly #nodes: MapNodes;
  readonly #present: ReadonlyMap<Ulid, unknown>;
  #seen = new Set<string>();

  constructor(nodes: MapNodes, present: ReadonlyMap<Ulid, unknown>) {
    this.#nodes = nodes;
    this.#present = present;
  }

  /**
   * Returns which of these packs a point needs without having all of it under other names. Once a
   * part of a map was looked at, it is not for other points that share it.
   */
  async without(
    absent: readonly PackName[],
    document: PointDocument,
    signal: AbortSignal,
  ): Promise<PackName[]> {
    const { aliases } = this.#nodes.packs;
    const renamed = absent.filter(({ ulid }) => aliases.touches(ulid));
    try {
      const question = { nodes: this.#nodes, seen: this.#seen };
      const slots = await slotsOfPacks(question, document, renamed, signal);
      return absent.filter(({ ulid }) => {
        const needed = aliases.touches(ulid) ? slots.get(ulid) : undefined;
        return needed === undefined || ![...needed].every((slot) => this.#isThere({ ulid, slot }));
      });
    } catch (error) {
      this.#seen = new Set();
      throw error;
    }
  }

  #isThere(slot: SlotName): boolean {
    const names = [...this.#nodes.packs.aliases.chain(slot)];
    return names.some(({ ulid }) => this.#present.has(ulid));
  }
}

async function packsIn(
  store: ObjectStore,
  signal: AbortSignal,
): Promise<Map<Ulid, PackId['kind']>> {
  const packs = new Map<Ulid, PackId['kind']>();
  for (const prefix of [PREFIXES.data, PREFIXES.metadata]) {
    for await (const { key } of store.list(prefix, signal)) {
      const name = parsePackKey(key);
      if (name !== undefined) {
        packs.set(name.ulid, name.kind);
      }
    }
  }
  return packs;
}
