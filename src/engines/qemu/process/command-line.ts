import type { VmDefinition } from '../../../vm/definition.ts';
import { diskNodes, nodeName } from './node-graph.ts';
import type { VmPaths } from '../state/vm-paths.ts';
import { NVRAM, topOf, type VmState } from '../state/vm-state.ts';

/** Length of a serial that virtio-blk shows to the guest. */
const SERIAL_CHARACTERS_MAX = 20;

export const SANDBOX = [
  '-sandbox',
  'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
];

export interface VmFacts {
  readonly definition: VmDefinition;
  readonly state: VmState;
  readonly paths: VmPaths;
}

export interface LaunchOptions extends VmFacts {
  readonly accelerator: 'kvm' | 'tcg';
}

/**
 * Returns the parameters of a QEMU without a machine, which only combines layers: no memory, no
 * guest, no devices. Every layer is read-only until a merge opens its base.
 */
export function maintenanceCommandLine({ definition, state, paths }: VmFacts): string[] {
  return [
    ...['-name', definition.name, '-uuid', definition.id],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-S', '-machine', 'none'],
    ...['-pidfile', paths.pid],
    ...['-chardev', `socket,id=mon,path=${escaped(paths.monitor)},server=on,wait=off`],
    ...['-mon', 'chardev=mon,mode=control'],
    ...state.disks
      .filter(({ mergeIntent }) => mergeIntent !== undefined)
      .flatMap((disk) => diskNodes(disk, { readOnly: true }))
      .flatMap(blockdev),
  ];
}

/**
 * Returns the parameters of QEMU for a VM. The guest does not run yet (`-S`). Everything comes from
 * the checked definition and the state file; ids and node names are the same at every start.
 */
export function commandLine(options: LaunchOptions): string[] {
  const { definition, state, paths, accelerator } = options;
  const socket = (id: string, path: string) => [
    '-chardev',
    `socket,id=${id},path=${escaped(path)},server=on,wait=off`,
  ];
  return [
    ...['-name', definition.name, '-uuid', definition.id],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-S'],
    ...['-machine', machine(definition, state)],
    ...['-accel', accelerator === 'tcg' ? 'tcg,thread=multi' : 'kvm'],
    ...['-cpu', definition.cpuModel, '-smp', String(definition.cpus)],
    ...['-m', `${definition.memoryMib}M`],
    ...['-pidfile', paths.pid],
    // One client per monitor: the second is for looking while the first is in use.
    ...[...socket('mon', paths.monitor), '-mon', 'chardev=mon,mode=control'],
    ...[...socket('mon2', paths.secondMonitor), '-mon', 'chardev=mon2,mode=control'],
    ...['-chardev', 'stdio,id=serial,signal=off', '-serial', 'chardev:serial'],
    ...(definition.guestAgent ? agentChannel(socket('agent', paths.agent)) : []),
    ...firmware(definition),
    ...state.disks.flatMap((disk) => diskNodes(disk)).flatMap(blockdev),
    ...definition.disks.flatMap(({ id, name }) => diskDevice(id, name, state)),
    ...definition.nics.flatMap(nic),
  ];
}

function machine(definition: VmDefinition, state: VmState): string {
  const nvram = state.disks.find(({ id }) => id === NVRAM);
  if (nvram === undefined) {
    return definition.machine;
  }
  return `${definition.machine},pflash0=firmware,pflash1=${nodeName(nvram, topOf(nvram))}`;
}

function firmware({ firmware: chosen }: VmDefinition): string[] {
  if (chosen.kind === 'kernel') {
    const initrd = chosen.initrdPath === undefined ? [] : ['-initrd', chosen.initrdPath];
    return ['-kernel', chosen.kernelPath, ...initrd, '-append', chosen.commandLine];
  }
  if (chosen.kind === 'bios') {
    return [];
  }
  const file = { driver: 'file', filename: chosen.codePath, 'read-only': true };
  return blockdev({ driver: 'raw', 'node-name': 'firmware', 'read-only': true, file });
}

function agentChannel(socket: readonly string[]): string[] {
  return [
    ...socket,
    ...['-device', 'virtio-serial-pci,id=channels'],
    ...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
  ];
}

function blockdev(node: Readonly<Record<string, unknown>>): string[] {
  return ['-blockdev', JSON.stringify(node)];
}

function diskDevice(diskId: string, name: string, state: VmState): string[] {
  const disk = state.disks.find(({ id }) => id === diskId);
  if (disk === undefined) {
    throw new RangeError(`disk ${diskId} is not in the state file`);
  }
  const device = {
    driver: 'virtio-blk-pci',
    id: `disk-${name}`,
    drive: nodeName(disk, topOf(disk)),
    serial: name.slice(0, SERIAL_CHARACTERS_MAX),
    // A full or broken host disk stops the VM; its guest never sees an error.
    werror: 'stop',
    rerror: 'stop',
  };
  return ['-device', JSON.stringify(device)];
}

function nic({ mac, model, network }: VmDefinition['nics'][number], index: number): string[] {
  const id = `nic${index}`;
  if (network === 'none') {
    return ['-netdev', `hubport,id=${id},hubid=${index}`, '-device', card(model, mac, id)];
  }
  const isolation = network === 'user-isolated' ? ',restrict=on' : '';
  return ['-netdev', `user,id=${id}${isolation}`, '-device', card(model, mac, id)];
}

function card(model: string, mac: string, netdev: string): string {
  return `${model},netdev=${netdev},mac=${mac}`;
}

/** In QEMU's option lists a comma is written twice. */
function escaped(path: string): string {
  return path.replaceAll(',', ',,');
}
