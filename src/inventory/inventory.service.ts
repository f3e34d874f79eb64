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

/** A VM of another host. */
export interface VmElsewhere {
  readonly id: string;
  readonly name: string;
  readonly host: {
    readonly id: string;
    readonly name: string;
    readonly address?: string;
    /** Whether nobody has heard of it for a while. */
    readonly isLate: boolean;
  };
}

/** Returns a VM that is not on this host; undefined if nobody knows it. */
export type FindElsewhere = (
  idOrName: string,
  signal: AbortSignal,
) => Promise<VmElsewhere | undefined>;

/** A VM to which jobs can be sent. */
export interface LocatedVm {
  readonly id: string;
  readonly name: string;
  /** The host that has it; undefined: this one. */
  readonly hostId?: string;
}

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
    if (found === undefined) {
      throw notHere(idOrName, await this.elsewhere(idOrName, signal));
    }
    return found;
  }

  /**
   * Returns the VM like `find`, also one of another host, for whoever sends it a job.
   * @throws Fault `engine.vm-not-found`, `vm.on-other-host` if that host is silent,
   *   `request.invalid`
   */
  async locate(idOrName: string, signal: AbortSignal): Promise<LocatedVm> {
    const found = findNamed(await this.engine.list(signal), idOrName);
    if (found !== undefined) {
      return { id: found.id, name: found.name };
    }
    const other = await this.elsewhere(idOrName, signal);
    if (other === undefined || other.host.isLate) {
      throw notHere(idOrName, other);
    }
    return { id: other.id, name: other.name, hostId: other.host.id };
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

function notHere(idOrName: string, other: VmElsewhere | undefined): Fault {
  if (other === undefined) {
    return new Fault(
      'engine.vm-not-found',
      `There is no VM ${idOrName} on this host; vm list shows those there are.`,
      { vm: idOrName },
    );
  }
  const { name, address, isLate } = other.host;
  const where = address === undefined ? name : `${name} (${address})`;
  return new Fault(
    'vm.on-other-host',
    isLate
      ? `The VM ${idOrName} is on the host ${where}, of which nobody has heard for a while. Start the service there.`
      : `The VM ${idOrName} is on the host ${where}; give this command to the service there.`,
    { vm: idOrName, host: name },
  );
}
