import { packKey, parsePackKey, PREFIXES, type PackKind, type PackName } from '../layout.ts';
import type { ObjectStore } from '../object-store.ts';
import type { Ulid } from '../ulid.ts';

/** One generation of a pack, as it was listed. */
export interface PackObject {
  readonly name: PackName;
  readonly size: number;
}

/** A logical pack. */
export interface ListedPack {
  readonly kind: PackKind;
  readonly ulid: Ulid;
  /** In the order in which one may take the place of those before it. */
  readonly objects: readonly PackObject[];
}

export type PackListing = ReadonlyMap<Ulid, ListedPack>;

/** All packs, oldest first. */
export async function listPacks(store: ObjectStore, signal: AbortSignal): Promise<PackListing> {
  const packs = new Map<Ulid, { kind: PackKind; ulid: Ulid; objects: PackObject[] }>();
  for (const prefix of [PREFIXES.data, PREFIXES.metadata]) {
    for await (const { key, size } of store.list(prefix, signal)) {
      const name = parsePackKey(key);
      if (name === undefined) {
        continue;
      }
      const { kind, ulid } = name;
      const pack = packs.get(ulid) ?? { kind, ulid, objects: [] };
      packs.set(ulid, pack);
      // The same name as data and as metadata is nothing that a writer makes: the second is left alone.
      if (pack.kind === kind) {
        pack.objects.push({ name, size });
      }
    }
  }
  for (const { objects } of packs.values()) {
    objects.sort((a, b) => (mayReplace(b.name, a.name) ? -1 : 1));
  }
  return packs;
}

/**
 * Of two generations that hold the same, only the lesser may be removed for the other: otherwise two
 * collectors could each remove what the other one kept.
 */
export function mayReplace(other: PackName, removed: PackName): boolean {
  return (
    other.generation > removed.generation ||
    (other.generation === removed.generation && packKey(other) > packKey(removed))
  );
}

export function totalSize(objects: readonly PackObject[]): number {
  return objects.reduce((sum, { size }) => sum + size, 0);
}
