import { integrityOrThrow } from '../../kernel/fault.ts';
import { parsePackKey, PREFIXES } from '../format/object-names.ts';
import { MapNodes } from '../maps/map-tree.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { Packs } from '../packs/packs.ts';
import type { DamagedSlots } from '../damage/damaged-slots.ts';
import { pointPacks } from './point-packs.ts';
import type { Ulid } from '../bytes/ulid.ts';
import type { VaultInside } from '../vault-inside.ts';
import { MergedStore } from '../store/merged-store.ts';
import type { PackId } from './pack-generations.ts';

export interface Suspects {
  readonly suspects: ReadonlyMap<Ulid, PackId>;
  /** The suspects that points need and of which no generation is there. */
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
  const missing: PackId[] = [];
  const culprits: unknown[] = [];
  const unreadablePoints: string[] = [];
  for (const point of await inside.points.list(signal)) {
    try {
      const { document } = await inside.points.load(point, signal);
      const packs = await pointPacks({ base, nodes }, document, signal);
      missing.push(...packs.filter(({ ulid }) => !present.has(ulid)));
    } catch (error) {
      const { context } = integrityOrThrow(error);
      // Reported; if that pack can be mended, the next run sees more.
      culprits.push(context['pack']);
      unreadablePoints.push(point.id);
    }
  }
  return { missing, culprits, unreadablePoints };
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
