import { Injectable } from '@nestjs/common';
import { randomBytes, randomUUID } from 'node:crypto';
import type {
  AcceptedDisk,
  AcceptOptions,
  Engine,
  VmSummary,
  StopOptions,
} from '../engines/engine.ts';
import { wholeSectors } from '../disk/sectors.ts';
import { findNamed } from '../kernel/text/by-prefix.ts';
import { Fault } from '../kernel/fault.ts';
import { checkedDefinition } from '../vm/checked-definition.ts';
import type { FirmwareDefinition, VmDefinition } from '../vm/definition.ts';
import { refuseIdAsName } from '../vm/new-name.ts';

/** A VM as a person describes it: ids, sizes and MAC addresses are optional. */
export interface NewVm extends Omit<VmDefinition, 'id' | 'disks' | 'nics' | 'firmware'> {
  readonly id?: string | undefined;
  readonly firmware: FirmwareDefinition;
  readonly disks: readonly NewDisk[];
  readonly nics: readonly NewNic[];
}

type NewDisk = Omit<VmDefinition['disks'][number], 'id' | 'sizeBytes'> & {
  readonly id?: string | undefined;
  readonly sizeBytes?: number | undefined;
};
type NewNic = Omit<VmDefinition['nics'][number], 'mac'> & { readonly mac?: string | undefined };

/** Returns the size of the virtual disk in an image, in bytes. */
export type MeasureImage = (
  image: { readonly path: string; readonly format: 'raw' | 'qcow2' },
  signal: AbortSignal,
) => Promise<number>;

/** Returns the host of a VM that is not on this one; undefined if nobody knows it. */
export type FindElsewhere = (
  idOrName: string,
  signal: AbortSignal,
) => Promise<{ readonly name: string; readonly address?: string | undefined } | undefined>;

/** First bytes of QEMU's MAC addresses; the rest is random. */
const MAC_PREFIX = [0x52, 0x54, 0x00];

/** The VMs on this host: the engine knows them, this finds them by name and id. */
@Injectable()
export class InventoryService {
  constructor(
    private readonly engine: Engine,
    private readonly measureImage: MeasureImage,
    private readonly elsewhere: FindElsewhere = async () => undefined,
  ) {}

  async list(signal: AbortSignal): Promise<VmSummary[]> {
    const vms = await this.engine.list(signal);
    return vms.sort((a, b) => a.name.localeCompare(b.name));
  }

  /**
   * Returns the VM with this name or id, or the only one whose id begins so.
   * @throws Fault `engine.vm-not-found`, `vm.on-other-host`, `request.invalid` if several ids begin
   *   so
   */
  async find(idOrName: string, signal: AbortSignal): Promise<VmSummary> {
    const vms = await this.engine.list(signal);
    const found = findNamed(vms, idOrName);
    if (found !== undefined) {
      return found;
    }
    const host = await this.elsewhere(idOrName, signal);
    if (host !== undefined) {
      const where = host.address === undefined ? host.name : `${host.name} (${host.address})`;
      throw new Fault(
        'vm.on-other-host',
        `The VM ${idOrName} is on the host ${where}; give this command to the service there.`,
        { vm: idOrName, host: host.name },
      );
    }
    throw new Fault(
      'engine.vm-not-found',
      `There is no VM ${idOrName} on this host; vm list shows those there are.`,
      { vm: idOrName },
    );
  }

  /** Takes a VM over: makes the ids that are missing, and measures its disks. */
  async add(vm: NewVm, signal: AbortSignal): Promise<VmSummary> {
    refuseIdAsName(vm.name);
    const disks = [];
    for (const disk of vm.disks) {
      const sizeBytes = await this.sizeOf(disk, signal);
      disks.push({ ...disk, id: disk.id ?? randomUUID(), sizeBytes });
    }
    const definition = checkedDefinition(
      {
        ...vm,
        id: vm.id ?? randomUUID(),
        disks,
        nics: vm.nics.map((nic) => ({ ...nic, mac: nic.mac ?? newMacAddress() })),
      },
      'The VM cannot be added',
    );
    return this.engine.add(definition, signal);
  }

  async start(idOrName: string, signal: AbortSignal): Promise<VmSummary> {
    const { id } = await this.find(idOrName, signal);
    await this.engine.start(id, signal);
    return this.engine.get(id, signal);
  }

  async stop(idOrName: string, options: StopOptions, signal: AbortSignal): Promise<VmSummary> {
    const { id } = await this.find(idOrName, signal);
    await this.engine.stop(id, options, signal);
    return this.engine.get(id, signal);
  }

  /** Decides about disks that were changed from outside under their overlays. */
  async accept(
    idOrName: string,
    options: AcceptOptions,
    signal: AbortSignal,
  ): Promise<AcceptedDisk[]> {
    const { id } = await this.find(idOrName, signal);
    return this.engine.accept(id, options, signal);
  }

  /** Turns the VM back into plain disks that need no Hyperkeep. */
  async release(idOrName: string, signal: AbortSignal): Promise<VmDefinition> {
    const { id } = await this.find(idOrName, signal);
    return this.engine.release(id, signal);
  }

  /**
   * Removes the VM with its disks. Its recovery points stay.
   * @param confirmedName the VM's name, typed once more
   */
  async destroy(idOrName: string, confirmedName: string, signal: AbortSignal): Promise<void> {
    const { id, name } = await this.find(idOrName, signal);
    if (name !== confirmedName) {
      throw new Fault(
        'request.invalid',
        `The VM is called ${name}, not ${confirmedName}; nothing was destroyed.`,
      );
    }
    await this.engine.destroy(id, signal);
  }

  private async sizeOf(disk: NewDisk, signal: AbortSignal): Promise<number> {
    const measured = await this.measureImage(disk, signal);
    if (disk.sizeBytes !== undefined && wholeSectors(disk.sizeBytes) !== wholeSectors(measured)) {
      throw new Fault(
        'vm.disk-size-differs',
        `The disk ${disk.name} is described with ${String(disk.sizeBytes)} bytes, its image has ${String(measured)}; leave the size out or correct it.`,
        { disk: disk.name, imageBytes: measured },
      );
    }
    // The engine reports what is wrong with an image that has no whole number of sectors.
    return wholeSectors(measured);
  }
}

function newMacAddress(): string {
  return [...MAC_PREFIX, ...randomBytes(3)]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(':');
}
