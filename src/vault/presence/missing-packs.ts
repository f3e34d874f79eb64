import { randomInt } from 'node:crypto';
import { isIntegrity } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import type { DedupIndex } from '../index/dedup-index.ts';
import { packKey } from '../format/object-names.ts';
import type { NodePointer } from '../maps/map-node.ts';
import { MapTree, type MapNodes, type MapRoot } from '../maps/map-tree.ts';
import { BuiltOn } from '../maps/built-on.ts';
import type { PackPresence } from './pack-presence.ts';

interface MissingPacksParts {
  readonly nodes: MapNodes;
  readonly presence: PackPresence;
  readonly index: DedupIndex;
  readonly log: Log;
}

/** A point whose packs and maps were all sent, and that is not yet a root. */
export interface FinishedPoint {
  readonly builtOn: BuiltOn;
  readonly roots: readonly MapRoot[];
  /** Packs that were just sent for this point. */
  readonly own: ReadonlySet<number>;
}

/**
 * Proves that what a new point builds on is in the store: the packs of everything that it wrote or
 * found in the index, the nodes that it refers to, and one random leaf per disk of what it only
 * inherited. In a vault of at most 1000 data packs all packs are proven. What turns out to be
 * missing is forgotten: its chunks are stored again when they come along.
 * @returns whether the point needs a missing pack
 */
export async function needsMissingPacks(
  parts: MissingPacksParts,
  { builtOn, roots, own }: FinishedPoint,
  signal: AbortSignal,
): Promise<boolean> {
  const { nodes, presence } = parts;
  const inherited = new BuiltOn();
  try {
    for (const root of roots) {
      await oneLeaf(nodes, root, inherited, signal);
    }
  } catch (error) {
    if (isIntegrity(error)) {
      parts.log.error('vault.parent-damaged', { code: error.code });
      return true;
    }
    throw error;
  }
  const data = without(own, builtOn.data, inherited.data);
  const metadata = without(own, builtOn.nodes, inherited.nodes);
  const siblings = [...without(own, builtOn.siblings)];
  const usable = nodes.base.numbers.usable();
  const missingNodes = await presence.missing(
    { kind: 'metadata', needed: metadata, others: siblings },
    signal,
  );
  const missingData = await presence.missing(
    { kind: 'data', needed: data, others: usable },
    signal,
  );
  if (missingNodes.size === 0 && missingData.size === 0) {
    return false;
  }
  if (missingData.size > 0) {
    const all = new Set([...data, ...usable]);
    for (const pack of await presence.missingOfAll('data', all, signal)) {
      missingData.add(pack);
    }
  }
  await forget(parts, missingNodes, missingData);
  // The map refers to siblings, so a missing sibling is needed.
  return (
    missingNodes.size > 0 ||
    [...missingData].some((pack) => data.has(pack)) ||
    (await refersTo(nodes, roots, missingData, signal))
  );
}

/** Walks from the root to a random leaf. */
async function oneLeaf(
  nodes: MapNodes,
  { pointer: root, depth }: MapRoot,
  met: BuiltOn,
  signal: AbortSignal,
): Promise<void> {
  let pointer = root;
  for (let level = depth; pointer !== undefined; level--) {
    met.nodes.add(pointer.pack);
    if (level === 0) {
      const { extents } = await nodes.leaf(pointer, signal);
      for (const { pack } of extents) {
        met.data.add(pack);
      }
      return;
    }
    const children = [...(await nodes.inner(pointer, level, signal)).values()];
    pointer = children.length === 0 ? undefined : children[randomInt(children.length)];
  }
}

function without(own: ReadonlySet<number>, ...sets: readonly ReadonlySet<number>[]): Set<number> {
  return new Set(sets.flatMap((set) => [...set].filter((pack) => !own.has(pack))));
}

async function forget(
  { nodes, index, log }: MissingPacksParts,
  ...missing: readonly ReadonlySet<number>[]
): Promise<void> {
  const { numbers } = nodes.base;
  const all = missing.flatMap((packs) => [...packs]);
  await index.lose(all);
  for (const pack of all) {
    const name = numbers.name(pack);
    await nodes.packs.forget({ name, objectKey: packKey(name) });
  }
  const [first = 0] = all;
  log.error('vault.packs-missing', { packs: all.length, first: packKey(numbers.name(first)) });
}

/**
 * Walks all maps of the point. Rare: only when packs are missing that no part seen so far refers
 * to.
 */
async function refersTo(
  nodes: MapNodes,
  roots: readonly MapRoot[],
  packs: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    for await (const pointer of leavesOf(nodes, roots, signal)) {
      const { extents } = await nodes.leaf(pointer, signal);
      if (extents.some(({ pack }) => packs.has(pack))) {
        return true;
      }
    }
    return false;
  } catch (error) {
    if (isIntegrity(error)) {
      return true;
    }
    throw error;
  }
}

async function* leavesOf(
  nodes: MapNodes,
  roots: readonly MapRoot[],
  signal: AbortSignal,
): AsyncIterable<NodePointer> {
  for (const root of roots) {
    for await (const { pointer } of new MapTree(nodes, root).leaves(signal)) {
      yield pointer;
    }
  }
}
