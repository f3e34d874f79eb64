import { Fault } from '../../../kernel/fault.ts';
import { fileNodeName, nodeName, preparedOverlay } from './node-graph.ts';
import type { QmpClient } from '../qmp/qmp-client.ts';
import type { DiskState, Layer } from '../state/vm-state.ts';

/** What a running QEMU says about one disk. */
export interface DiskFacts {
  /** Number of the layer that the VM writes to. */
  readonly activeLayer: number;
  readonly sizeBytes: number;
  /** Number of layers below the active one. */
  readonly depth: number;
}

const NODE_NAME = /^d(\d+)l(\d+)(f?)$/;

/** Returns the names of all block nodes. */
async function blockNodeNames(qmp: QmpClient, signal: AbortSignal): Promise<Set<string>> {
  const nodes = await qmp.execute('query-named-block-nodes', { flat: true }, signal);
  return new Set(nodes.map((node) => node['node-name']));
}

/** Returns what the VM's devices are attached to, by the index of the disk. */
export async function diskFacts(
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<Map<number, DiskFacts>> {
  const facts = new Map<number, DiskFacts>();
  for (const { inserted } of await qmp.execute('query-block', {}, signal)) {
    const [, index, layer] = NODE_NAME.exec(inserted?.['node-name'] ?? '') ?? [];
    // Skips a device without a disk of ours, such as an empty drive.
    if (inserted !== undefined && index !== undefined && layer !== undefined) {
      facts.set(Number(index), {
        activeLayer: Number(layer),
        sizeBytes: inserted.image['virtual-size'],
        depth: inserted.backing_file_depth,
      });
    }
  }
  return facts;
}

/** Returns the facts of one disk, which QEMU must know. */
export function factsOf(facts: ReadonlyMap<number, DiskFacts>, disk: DiskState): DiskFacts {
  const found = facts.get(disk.index);
  if (found === undefined) {
    throw new Fault(
      'engine.state-invalid',
      `QEMU does not have the disk ${disk.id} of the state file. Stop the VM and start it again.`,
      { diskId: disk.id },
    );
  }
  return found;
}

/** Opens an overlay that nothing uses yet. */
export async function addOverlay(
  qmp: QmpClient,
  disk: DiskState,
  layer: Layer,
  signal: AbortSignal,
): Promise<void> {
  const { file, format } = preparedOverlay(disk, layer);
  await qmp.execute('blockdev-add', file, signal);
  await qmp.execute('blockdev-add', format, signal);
}

/** Closes what is left of a layer that nothing uses. */
export async function removeNodes(
  qmp: QmpClient,
  disk: DiskState,
  layer: Pick<Layer, 'number'>,
  signal: AbortSignal,
): Promise<void> {
  const present = await blockNodeNames(qmp, signal);
  for (const name of [nodeName(disk, layer), fileNodeName(disk, layer)]) {
    if (present.has(name)) {
      await qmp.execute('blockdev-del', { 'node-name': name }, signal);
    }
  }
}

/** Closes every node of a disk that belongs to none of its layers: overlays before their bases. */
export async function removeUnusedNodes(
  qmp: QmpClient,
  disk: DiskState,
  signal: AbortSignal,
): Promise<void> {
  const kept = new Set(disk.layers.map(({ number }) => number));
  const unused = [...(await blockNodeNames(qmp, signal))]
    .map((name) => NODE_NAME.exec(name))
    .filter((match) => match !== null)
    .filter(([, index, layer]) => Number(index) === disk.index && !kept.has(Number(layer)))
    .sort((a, b) => Number(b[2]) - Number(a[2]) || (a[3] ?? '').localeCompare(b[3] ?? ''));
  for (const [name] of unused) {
    await qmp.execute('blockdev-del', { 'node-name': name }, signal);
  }
}
