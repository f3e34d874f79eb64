import { Fault } from '../../../kernel/fault.ts';
import { withNewHistory } from '../state/disk-changes.ts';
import { identityOf } from '../state/file-identity.ts';
import { withWarnings } from './identity-journal.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { fileNodeName, nodeName } from '../process/node-graph.ts';
import { fileKey, listenersAt, openFilesOf, type OpenFiles } from '../process/open-files.ts';
import { runningPid } from '../process/qemu-process.ts';
import type { QmpClient } from '../qmp/qmp-client.ts';
import type { QmpResult } from '../qmp/qmp-results.ts';
import type { VmPaths } from '../state/vm-paths.ts';
import { baseOf, topOf, type DiskState, type VmState } from '../state/vm-state.ts';

type Nodes = ReadonlyMap<string, QmpResult<'query-named-block-nodes'>[number]>;

/** Node name of a file of one of our layers. */
const LAYER_FILE = /^d\d+l\d+f$/;

interface Claimed {
  readonly paths: VmPaths;
  readonly state: VmState;
}

/**
 * Returns why the QEMU that runs under the id of a VM is not that VM; undefined if it is. An id and
 * a pid file may outlive their disks, so QEMU's own block graph must name the files in the state
 * file, and the files that the process has open must be the ones at these paths.
 */
export async function whyNotOurs(
  { paths, state }: Claimed,
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { UUID } = await qmp.execute('query-uuid', {}, signal);
  if (UUID !== state.vmId) {
    return `it is the VM ${UUID}`;
  }
  const nodes = new Map(
    (await qmp.execute('query-named-block-nodes', { flat: true }, signal)).map((node) => [
      node['node-name'],
      node,
    ]),
  );
  const active = await activeNodes(qmp, signal);
  const whyGraph = state.disks
    .map((disk) => whyOtherGraph(disk, nodes, active))
    .find((why) => why !== undefined);
  return whyGraph ?? whyUnknownFile(state, nodes) ?? (await whyOtherFiles({ paths, state }, nodes));
}

/** @throws Fault `engine.not-ours` */
export async function assertOurs(
  vm: ManagedVm,
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<void> {
  const why = await whyNotOurs(vm, qmp, signal);
  if (why !== undefined) {
    throw await notOurs(vm, why);
  }
}

/**
 * Adopts a QEMU of the VM that somebody else started, or that runs after a release was taken back:
 * nobody has logged what it wrote so far.
 */
export async function adoptUnexpected(vm: ManagedVm): Promise<string[]> {
  if (vm.state.started !== 'no') {
    return [];
  }
  for (const disk of vm.tracked) {
    await vm.changeLog(disk).clear();
  }
  const note = 'a QEMU of it ran that was not started here; the next backup reads its disks whole';
  await vm.saveDisks(withNewHistory, { warnings: withWarnings(vm.state, [note]) });
  const disks: DiskState[] = [];
  for (const disk of vm.state.disks) {
    const top = { ...topOf(disk), identity: await identityOf(topOf(disk), true) };
    disks.push({ ...disk, layers: [...disk.layers.slice(0, -1), top] });
  }
  await vm.save({ disks, started: 'guest' });
  return [note];
}

/**
 * Checks a QEMU that does not answer, before it is killed.
 * @throws Fault `engine.not-ours`
 */
export async function assertOursToKill(vm: ManagedVm): Promise<void> {
  const pid = await runningPid(vm.paths);
  if (pid === undefined) {
    return;
  }
  const open = await openFilesOf(pid);
  for (const disk of vm.state.disks) {
    const { path } = baseOf(disk);
    const key = await fileKey(path);
    if (key === undefined || open?.files.has(key) !== true) {
      throw await notOurs(vm, `it does not have ${path} open`);
    }
  }
}

/** Returns a sentence for people about a QEMU that is not the VM's. */
export function notOursText(name: string, pid: number | undefined, why: string): string {
  const program = pid === undefined ? 'A QEMU' : `A QEMU (process ${String(pid)})`;
  return (
    `${program} runs under the id of ${name}, but ${why}. Nothing is done to it. ` +
    'Shut that guest down from within or end the process, then start the VM again; ' +
    'if its files were moved or replaced, put them back.'
  );
}

async function notOurs(vm: ManagedVm, why: string): Promise<Fault> {
  const pid = await runningPid(vm.paths);
  return new Fault('engine.not-ours', notOursText(vm.name, pid, why), {
    vmId: vm.definition.id,
  });
}

/** Returns the nodes that devices are attached to. */
async function activeNodes(qmp: QmpClient, signal: AbortSignal): Promise<Set<string>> {
  const devices = await qmp.execute('query-block', {}, signal);
  return new Set(devices.map(({ inserted }) => inserted?.['node-name'] ?? ''));
}

/**
 * Base and top must be there: only layers between them may be merged already. A top that is not
 * attached yet was prepared for a freeze that did not happen. If its node is missing, QEMU was
 * started from an earlier state of the chain, and the content of the top would be lost.
 */
function whyOtherGraph(
  disk: DiskState,
  nodes: Nodes,
  active: ReadonlySet<string>,
): string | undefined {
  if (!disk.layers.some((layer) => active.has(nodeName(disk, layer)))) {
    return `no device of it is attached to a layer of disk ${disk.id}`;
  }
  for (const layer of disk.layers) {
    const format = nodes.get(nodeName(disk, layer));
    const file = nodes.get(fileNodeName(disk, layer));
    if (format === undefined || file === undefined) {
      if (layer === baseOf(disk) || layer === topOf(disk)) {
        return `it does not have ${layer.path} in the chain of disk ${disk.id}`;
      }
    } else if (format.drv !== layer.format || file.file !== layer.path) {
      return `it uses ${file.file} (${format.drv}) where the disk has ${layer.path} (${layer.format})`;
    }
  }
  return undefined;
}

function whyUnknownFile(state: VmState, nodes: Nodes): string | undefined {
  const known = new Set([
    ...state.leftovers,
    ...state.disks.flatMap(({ layers }) => layers.map(({ path }) => path)),
  ]);
  const unknown = [...nodes.values()].find(
    (node) => LAYER_FILE.test(node['node-name']) && !known.has(node.file),
  );
  return unknown === undefined ? undefined : `it uses ${unknown.file}, which is no layer of a disk`;
}

async function whyOtherFiles({ paths, state }: Claimed, nodes: Nodes): Promise<string | undefined> {
  const pid = await runningPid(paths);
  const open = pid === undefined ? undefined : await openFilesOf(pid);
  if (pid === undefined || open === undefined) {
    return 'its open files cannot be looked at';
  }
  return (await whyOtherSockets(pid, paths, open)) ?? (await whyReplaced(state, nodes, open));
}

async function whyOtherSockets(
  pid: number,
  { monitor }: VmPaths,
  { sockets }: OpenFiles,
): Promise<string | undefined> {
  const listeners = await listenersAt(pid, monitor);
  const isTheirs = listeners.length > 0 && listeners.every((inode) => sockets.has(inode));
  return isTheirs ? undefined : `the monitor ${monitor} belongs to another process`;
}

async function whyReplaced(
  state: VmState,
  nodes: Nodes,
  { files }: OpenFiles,
): Promise<string | undefined> {
  for (const disk of state.disks) {
    for (const layer of disk.layers.filter((each) => nodes.has(fileNodeName(disk, each)))) {
      const key = await fileKey(layer.path);
      if (key === undefined || !files.has(key)) {
        return `the file at ${layer.path} is not the one that it has open`;
      }
    }
  }
  return undefined;
}
