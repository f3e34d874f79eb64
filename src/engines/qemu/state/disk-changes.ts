import { randomUUID } from 'node:crypto';
import { baseOf, NVRAM, topOf, type DiskState, type FileIdentity, type Layer } from './vm-state.ts';

/** Changes of a disk's layers, as pure functions of its state. */

/** Returns the state of a new disk, with its image as the only layer. */
export function newDiskState(options: {
  readonly id: string;
  readonly index: number;
  readonly excluded: boolean;
  readonly base: Pick<Layer, 'path' | 'format'>;
}): DiskState {
  return {
    id: options.id,
    index: options.index,
    excluded: options.excluded,
    trackingId: randomUUID(),
    generation: 0,
    frozenSizeBytes: 0,
    nextLayer: 1,
    layers: [{ number: 0, path: options.base.path, format: options.base.format }],
    unlogged: [],
    topUntouched: false,
    distrusted: undefined,
  };
}

/**
 * Returns the layer that the next freeze puts on top. It lies beside the base: same file system,
 * same room.
 */
export function plannedLayer(disk: DiskState, number = disk.nextLayer): Layer {
  return { number, path: `${baseOf(disk).path}.hk-${number}.qcow2`, format: 'qcow2' };
}

/** Takes a number for a layer. It is never used again, even if the layer never comes. */
export function withPlanned(disk: DiskState, number: number | undefined): DiskState {
  return number === undefined ? disk : { ...disk, nextLayer: number + 1 };
}

/**
 * Puts `layer` on top and freezes the old top as the next generation. Save this before it happens:
 * until the first write an empty overlay is the same disk.
 *
 * @param sizeBytes size of the disk at the freeze
 */
export function withNewTop(disk: DiskState, layer: Layer, sizeBytes: number): DiskState {
  return withLayer(withFrozenTop(disk, sizeBytes), layer);
}

/** Puts `layer`, which is empty, on top of what is frozen already. */
export function withLayer(disk: DiskState, layer: Layer): DiskState {
  return { ...disk, layers: [...disk.layers, layer], topUntouched: false };
}

/**
 * Makes all layers of a disk that nobody writes the next generation. The next start puts a new
 * layer on them.
 *
 * @param sizeBytes size of the disk at the freeze
 */
export function withFrozenTop(disk: DiskState, sizeBytes: number): DiskState {
  const generation = disk.generation + 1;
  const frozen = topOf(disk);
  // Nobody can ask for changes since before the first generation, or for changes of a variable
  // store.
  const isAskedFor = generation > 1 && disk.id !== NVRAM;
  const entry = {
    layer: frozen.number,
    generation,
    previousSizeBytes: disk.frozenSizeBytes,
    sizeBytes,
  };
  return {
    ...disk,
    generation,
    frozenSizeBytes: sizeBytes,
    unlogged: isAskedFor ? [...disk.unlogged, entry] : disk.unlogged,
    topUntouched: true,
  };
}

/** Returns the disk as before `withNewTop`: the announced top did not come. */
export function withoutNewTop(disk: DiskState): DiskState {
  const generation = disk.generation - 1;
  const entry = disk.unlogged.find((candidate) => candidate.generation === disk.generation);
  return {
    ...disk,
    generation,
    frozenSizeBytes: entry?.previousSizeBytes ?? 0,
    layers: disk.layers.slice(0, -1),
    unlogged: disk.unlogged.filter((candidate) => candidate !== entry),
    topUntouched: false,
  };
}

/** Returns the layers between base and top of a running VM: they are frozen and to be merged. */
export function frozenLayers(disk: DiskState): Layer[] {
  return disk.layers.slice(1, -1);
}

/**
 * Returns the chain as the newest freeze saw it: all of it, or all below what was written since.
 */
export function frozenChain(disk: DiskState): Layer[] {
  return disk.topUntouched ? disk.layers : disk.layers.slice(0, -1);
}

/** Returns the chain up to and including the layer called `number`. */
export function chainUpTo(disk: DiskState, number: number): Layer[] {
  return disk.layers.slice(0, disk.layers.findIndex((layer) => layer.number === number) + 1);
}

/** All layers of a disk that nobody writes were merged into the base. */
export function withOneLayer(disk: DiskState, base: Layer): DiskState {
  return { ...disk, layers: [base], mergeIntent: undefined, whyUnmerged: undefined };
}

/** All frozen layers were merged into the base. */
export function withMerged(disk: DiskState, base: Layer): DiskState {
  return { ...disk, layers: [base, topOf(disk)], mergeIntent: undefined };
}

/** Files from `base` up to `layer` (both included) are being merged into `base`. */
export function withMergeIntent(disk: DiskState, layer: Layer, before: FileIdentity): DiskState {
  const { generation } = disk;
  return { ...disk, mergeIntent: { base: before, layer: layer.number, generation } };
}

/**
 * Begins a new history: nothing known about changes is believed any more, not even that the top is
 * empty.
 */
export function withNewHistory(disk: DiskState): DiskState {
  return {
    ...disk,
    trackingId: randomUUID(),
    generation: 0,
    frozenSizeBytes: 0,
    unlogged: [],
    topUntouched: false,
  };
}
