import type { Fault } from '../../kernel/fault.ts';
import { parsePointKey, pointKey, PREFIXES } from '../format/object-names.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { damagedPoint } from './point-object.ts';
import type { PointName } from './retirements.ts';

/** What `s/` lists; none of it is verified. */
export interface ListedPoints {
  /** Points with a seal, oldest first. */
  readonly sealed: PointName[];
  /** Seals without a point: the point came during the listing, is being removed, or is lost. */
  readonly strays: readonly PointName[];
}

export async function listPointNames(
  store: ObjectStore,
  signal: AbortSignal,
  vmId?: string,
): Promise<ListedPoints> {
  const prefix = vmId === undefined ? PREFIXES.points : `${PREFIXES.points}${vmId}/`;
  const points = new Set<string>();
  const sealed: PointName[] = [];
  const strays: PointName[] = [];
  for await (const { key } of store.list(prefix, signal)) {
    const name = parsePointKey(key);
    if (name === undefined) {
      continue;
    }
    const plain = pointKey(name.vmId, name.id);
    if (name.isSeal) {
      const list = points.has(plain) ? sealed : strays;
      list.push({ vmId: name.vmId, id: name.id });
    } else {
      points.add(plain);
    }
  }
  sealed.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  return { sealed, strays };
}

/** Fault for a sealed point whose object is gone. */
export function onlySeal({ vmId, id }: PointName): Fault {
  const key = pointKey(vmId, id);
  return damagedPoint(key, 'it is not in the vault any more, only its seal is');
}
