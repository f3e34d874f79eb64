import type { ChangeSet, TrackingState } from '../disk/change-set.ts';
import type { DiskReader } from '../disk/disk-reader.ts';
import type { VmDefinition } from '../vm/definition.ts';

export type VmId = string;

/**
 * `starting`: it is being started, its guest does not run yet.
 * `io-error`: the VM is paused because the host's disk is full; it goes on when there is room.
 * `not-ours`: what runs under its id uses other files than its disks; nothing is done to it.
 * `damaged`: what is kept about it beside its disks cannot be read; nothing is done to it.
 */
export type VmStatus =
  'running' | 'starting' | 'stopped' | 'paused' | 'io-error' | 'not-ours' | 'damaged' | 'unknown';

/** A disk of a VM that is off whose content is in more than one file. */
export interface UnmergedDisk {
  /** The disk's name; `nvram` for the variable store. */
  readonly name: string;
  /** The image that the definition names. It is not the whole disk. */
  readonly path: string;
  /** All files of the disk, lowest first. */
  readonly files: readonly string[];
  /** They are being made one file now. */
  readonly isMerging: boolean;
  /** Why they are not one file, for people. */
  readonly why: string;
  /** A command that copies the whole disk to the file COPY.qcow2. */
  readonly copyCommand: string;
}

export interface StopOptions {
  /** Powers off, without asking the guest. */
  readonly force: boolean;
  /** Returns only when the disks are one file each, or cannot be made so now. Default false. */
  readonly wait?: boolean;
}

export interface VmSummary {
  readonly id: VmId;
  readonly name: string;
  readonly status: VmStatus;
  /** Undefined when it cannot be read; the name is the id then. */
  readonly definition?: VmDefinition;
  /**
   * What an operator should know: `host disk full`, `disk was changed outside`. Empty when all is
   * well.
   */
  readonly warnings: readonly string[];
  /** Of a VM that is off; empty when the image of each disk is the whole disk. */
  readonly unmerged: readonly UnmergedDisk[];
}

/**
 * How trustworthy the instant is: file systems flushed and frozen, like a power cut, or powered
 * off.
 */
export type Consistency = 'filesystem' | 'crash' | 'powered-off';

/** One disk at the instant of a freeze. Valid until the frozen VM is disposed of. */
export interface FrozenDisk {
  readonly diskId: string;
  readonly name: string;
  readonly sizeBytes: number;
  /** The state frozen here; a later backup asks for the changes since it. */
  readonly tracking: TrackingState;
  /** The whole content at the instant. */
  readonly reader: DiskReader;
  /** What changed since `state`, or why that cannot be said. `undefined`: nothing is known yet. */
  changedSince(state: TrackingState | undefined): Promise<ChangeSet>;
}

export interface FrozenVm extends AsyncDisposable {
  /** Milliseconds since the Unix epoch at the snapshot transaction. */
  readonly takenAtMs: number;
  readonly consistency: Consistency;
  /** Why the consistency is less than `filesystem`, for people; undefined when it is not. */
  readonly consistencyReason?: string;
  /** How long the guest's file systems were frozen; 0 without an agent. */
  readonly guestFrozenMs: number;
  /** How long the snapshot transaction over all disks took; 0 for a powered-off VM. */
  readonly transactionMs: number;
  readonly definition: VmDefinition;
  /**
   * The firmware's variable store at the instant, one complete image (qcow2 from QEMU), if it has
   * one.
   */
  readonly nvram?: Uint8Array;
  readonly disks: readonly FrozenDisk[];
  /** Things that went on but that the operator should know. */
  readonly warnings: readonly string[];
  /**
   * To be asked before the point is sealed: whether what was read is of one moment.
   * @throws Fault `engine.image-changed` when somebody wrote an image since the freeze
   */
  assertUnchanged(signal: AbortSignal): Promise<void>;
  /**
   * Releases the frozen layers so that they can be merged away. The point must be sealed or given
   * up.
   */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A disk whose image was changed from outside under overlays that hold data. */
export interface AcceptedDisk {
  readonly diskId: string;
  readonly name: string;
  readonly imagePath: string;
  /** What differs: inode, size, mtime, ctime, header, backing file. */
  readonly signs: readonly string[];
  /** What was written on the image as it was before. */
  readonly overlays: readonly {
    readonly path: string;
    readonly bytes: number;
    /** Its name from then on if the image is kept. */
    readonly setAsideAs: string;
  }[];
}

export interface AcceptOptions {
  /** `image`: the disk is the image as it is now; `chain`: the image with the overlays on it. */
  readonly keep: 'image' | 'chain';
  /** Only say what there is to decide. */
  readonly dryRun: boolean;
}

/**
 * The right of one attempt of a job to act on a VM; ended by disposing of it. While it lives no
 * other attempt gets one. What its job does later, after another one has claimed the VM, is refused
 * with `engine.fenced`.
 */
export interface Claim extends AsyncDisposable {
  readonly vmId: VmId;
  readonly jobId: string;
  /** Counted by the engine itself, per VM: no database, new or restored, can lower it. */
  readonly fence: number;
}

export interface FreezeOptions {
  /** The job for which the VM is frozen. */
  readonly jobToken: string;
  /**
   * The attempt that this is part of. Without one the freeze claims the VM until it is disposed of.
   */
  readonly claim?: Claim;
  /** Do not ask the guest agent to freeze file systems. Default false. */
  readonly crashConsistent?: boolean;
  /**
   * Oldest generation per disk id that a policy still needs; older change logs are pruned.
   * Disks that are not named keep all (within the engine's bound).
   */
  readonly neededGenerations?: Readonly<Record<string, number>>;
}

/**
 * Our driver for one kind of hypervisor.
 *
 * An implementation promises, and test/contract/engine.contract.ts proves:
 * - a freeze shows all disks of the VM as they were at one instant, whatever the guest writes
 *   later;
 * - changes are never lost: a freeze whose point is never sealed leaves them for the next
 *   `changedSince` of any older state;
 * - two freezes of one VM at once: the second is refused with `engine.vm-busy`;
 * - claims of one VM are counted upwards, and an action of an older one is refused with
 *   `engine.fenced`, whatever a database says;
 * - `reconcile` after any crash leaves the VM startable, unfrozen and tracked.
 */
export abstract class Engine {
  abstract readonly kind: string;

  /** All VMs, also those that cannot be read or asked: they say why. */
  abstract list(signal: AbortSignal): Promise<VmSummary[]>;

  /** @throws Fault `engine.vm-not-found` */
  abstract get(vm: VmId, signal: AbortSignal): Promise<VmSummary>;

  /**
   * Takes a VM over: validates its images, mints tracking ids, writes its state file. Changes no
   * disk.
   */
  abstract add(definition: VmDefinition, signal: AbortSignal): Promise<VmSummary>;

  /**
   * Claims the VM for one attempt of a job. Every later call of the attempt carries the claim. One
   * whose service has died counts no more.
   * @throws Fault `engine.vm-busy` while another claim lives
   */
  abstract claim(vm: VmId, jobId: string, signal: AbortSignal): Promise<Claim>;

  abstract start(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void>;

  /**
   * Asks the guest to shut down and, when `force` or it does not within the limit, powers off. Then
   * the image of each disk is made the whole disk, in the background unless `wait`; a start does
   * not wait for that.
   */
  abstract stop(vm: VmId, options: StopOptions, signal: AbortSignal, claim?: Claim): Promise<void>;

  /**
   * Puts the VM back to plain disks without Hyperkeep and forgets it; its disks stay.
   * @throws Fault `engine.vm-running`, `engine.merge-failed`; it is still known then
   */
  abstract release(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<VmDefinition>;

  /** Powers off and removes the VM with its disks and state. */
  abstract destroy(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void>;

  /** Takes all disks that are not excluded at one instant. */
  abstract freeze(vm: VmId, options: FreezeOptions, signal: AbortSignal): Promise<FrozenVm>;

  /**
   * Begins a new line of history for a disk: what is known about its changes is not believed any
   * more, and the next backup into every vault reads it whole. A disk that is gone is no error.
   * Under the claim that uses a frozen state it is durable at once and takes effect when that state
   * is given back.
   * @throws Fault `engine.vm-busy` while somebody else holds the VM
   */
  abstract distrust(vm: VmId, diskId: string, signal: AbortSignal, claim?: Claim): Promise<void>;

  /**
   * Answers the question that `engine.base-replaced` asks, for all disks of the VM that have one.
   * No content is changed, and overlays that are not wanted get another name; the next backup reads
   * these disks whole. Nothing to decide is no error.
   * @throws Fault `engine.vm-busy` when the image is to be kept and the VM runs
   */
  abstract accept(vm: VmId, options: AcceptOptions, signal: AbortSignal): Promise<AcceptedDisk[]>;

  /** After a start of the service: repairs whatever a crash left behind. Says what it did. */
  abstract reconcile(signal: AbortSignal): Promise<string[]>;

  /**
   * The service stops soon: from now on nothing is merged. What is cut off goes on at the next
   * start.
   */
  abstract giveUpMerges(): void;

  /** Stops watching. VMs go on running. */
  abstract close(): Promise<void>;
}
