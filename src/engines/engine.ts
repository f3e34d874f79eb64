import type { ChangeSet, TrackingState } from '../disk/change-set.ts';
import type { DiskReader } from '../disk/disk-reader.ts';
import type { VmDefinition } from '../vm/definition.ts';
import type { FreezeMeeting } from './freeze-meeting.ts';
import type { GuestCommand, GuestCommandEnd } from './guest-command.ts';

export type VmId = string;

/**
 * `starting`: it is being started, and its guest does not run yet.
 * `io-error`: the VM is paused because the host's disk is full; it goes on when there is room.
 * `not-ours`: what runs under its id uses other files than its disks; it is left alone.
 * `damaged`: what is kept about it besides its disks cannot be read; it is left alone.
 */
export type VmStatus =
  'running' | 'starting' | 'stopped' | 'paused' | 'io-error' | 'not-ours' | 'damaged' | 'unknown';

/** A disk of a powered-off VM whose content is in more than one file. */
export interface UnmergedDisk {
  /** Name of the disk; `nvram` for the variable store. */
  readonly name: string;
  /** The image that the definition names. It is not the whole disk. */
  readonly path: string;
  /** All files of the disk, lowest first. */
  readonly files: readonly string[];
  /** Whether they are being merged into one file now. */
  readonly isMerging: boolean;
  /** Why they are not one file, for people. */
  readonly why: string;
  /** Command that copies the whole disk to the file COPY.qcow2. */
  readonly copyCommand: string;
}

export interface StopOptions {
  /** Powers off without asking the guest. */
  readonly force: boolean;
  /** Returns only when each disk is one file, or cannot be made one now. Default false. */
  readonly wait?: boolean;
}

export interface VmSummary {
  readonly id: VmId;
  readonly name: string;
  readonly status: VmStatus;
  /** Undefined if it cannot be read; the name is the id then. */
  readonly definition?: VmDefinition;
  /**
   * What an operator should know: `host disk full`, `disk was changed outside`. Empty if all is
   * well.
   */
  readonly warnings: readonly string[];
  /** Unmerged disks of a powered-off VM; empty if the image of each disk is the whole disk. */
  readonly unmerged: readonly UnmergedDisk[];
}

/**
 * State of the disks at the instant: file systems flushed and frozen, as after a power cut, or
 * powered off.
 */
export type Consistency = 'filesystem' | 'crash' | 'powered-off';

/** One disk at the instant of a freeze. Valid until the frozen VM is disposed of. */
export interface FrozenDisk {
  readonly diskId: string;
  readonly name: string;
  readonly sizeBytes: number;
  /** The state frozen here; a later backup asks for changes since it. */
  readonly tracking: TrackingState;
  /** The whole content at the instant. */
  readonly reader: DiskReader;
  /**
   * Returns what changed since `state`, or why that is unknown. `undefined`: there is no earlier
   * state.
   */
  changedSince(state: TrackingState | undefined): Promise<ChangeSet>;
}

/** Writes and flushes of a running guest to all its disks, by how long they took. */
export interface WriteLatencies {
  /** Where one class ends and the next begins, in ms, ascending. */
  readonly boundsMs: readonly number[];
  /**
   * Writes in each class, the last of which has no end, since some moment. Fewer than before: a new
   * count.
   */
  readonly writes: readonly number[];
  /** Whether the guest's processor is emulated, which makes it slow. */
  readonly isEmulated: boolean;
}

export interface FrozenVm extends AsyncDisposable {
  /** Milliseconds since the Unix epoch at the snapshot transaction. */
  readonly takenAtMs: number;
  readonly consistency: Consistency;
  /** Why the consistency is less than `filesystem`, for people; undefined otherwise. */
  readonly consistencyReason?: string;
  /** How long the guest's file systems were frozen; 0 without an agent. */
  readonly guestFrozenMs: number;
  /** How long the snapshot transaction over all disks took; 0 for a powered-off VM. */
  readonly transactionMs: number;
  /** When that was, in milliseconds of the monotonic clock; undefined for a powered-off VM. */
  readonly transaction?: { readonly fromMs: number; readonly toMs: number };
  readonly definition: VmDefinition;
  /**
   * The firmware's variable store at the instant, if there is one: one complete image (qcow2 from
   * QEMU).
   */
  readonly nvram?: Uint8Array;
  readonly disks: readonly FrozenDisk[];
  /** What the operator should know although the freeze went on. */
  readonly warnings: readonly string[];
  /**
   * Checks that everything read is of one moment. Call it before the point is sealed.
   * @throws Fault `engine.image-changed` if somebody wrote an image since the freeze
   */
  assertUnchanged(signal: AbortSignal): Promise<void>;
  /**
   * Tells what the running guest feels of its disks; counting may begin with the first call.
   * Undefined if this engine cannot tell, or the VM is powered off. It answers undefined while the
   * guest cannot be asked, such as after it has shut down.
   */
  guestWriteLatency?(signal: AbortSignal): Promise<WriteLatencies | undefined>;
  /**
   * Releases the frozen layers so that they can be merged. The point must be sealed or given up
   * before.
   */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A disk whose image was changed from outside, under overlays that hold data. */
export interface AcceptedDisk {
  readonly diskId: string;
  readonly name: string;
  readonly imagePath: string;
  /** What differs: inode, size, mtime, ctime, header, backing file. */
  readonly signs: readonly string[];
  /** Overlays that were written on the image as it was before. */
  readonly overlays: readonly {
    readonly path: string;
    readonly bytes: number;
    /** The overlay's new name if the image is kept. */
    readonly setAsideAs: string;
  }[];
}

export interface AcceptOptions {
  /** `image` keeps the image as it is now, `chain` keeps the image with the overlays on it. */
  readonly keep: 'image' | 'chain';
  /** Only returns what there is to decide. */
  readonly dryRun: boolean;
}

/**
 * The right of one attempt of a job to act on a VM; disposing of it ends it. While it lives no
 * other attempt gets one. Once another attempt has claimed the VM, actions of the earlier one are
 * refused with `engine.fenced`.
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
  /** Claim of the attempt. Without one the freeze itself claims the VM until it is disposed of. */
  readonly claim?: Claim;
  /** Does not ask the guest agent to freeze file systems. Default false. */
  readonly crashConsistent?: boolean;
  /** Freezes at one moment with other VMs. */
  readonly meeting?: FreezeMeeting | undefined;
  /**
   * By disk id: the oldest generation that a policy still needs. Older change logs are pruned.
   * Disks not listed keep all (within the engine's bound).
   */
  readonly neededGenerations?: Readonly<Record<string, number>>;
}

/**
 * Driver for one kind of hypervisor.
 *
 * An implementation promises, and test/contract/engine.contract.ts proves:
 * - a freeze shows all disks of the VM as they were at one instant, whatever the guest writes
 *   later;
 * - changes are never lost: a freeze whose point is never sealed leaves them for the next
 *   `changedSince` of any older state;
 * - of two freezes of one VM at once, the second is refused with `engine.vm-busy`;
 * - claims of one VM are counted upwards, and an action under an older one is refused with
 *   `engine.fenced`, whatever a database says;
 * - `reconcile` after any crash leaves the VM startable, unfrozen and tracked.
 */
export abstract class Engine {
  abstract readonly kind: string;

  /** Lists the ids of all VMs, and looks at none of them: it takes a few ms for hundreds. */
  abstract ids(signal: AbortSignal): Promise<VmId[]>;

  /** Lists all VMs, also those that cannot be read or asked, with the reason. */
  abstract list(signal: AbortSignal): Promise<VmSummary[]>;

  /** @throws Fault `engine.vm-not-found` */
  abstract get(vm: VmId, signal: AbortSignal): Promise<VmSummary>;

  /**
   * Takes a VM over: validates its images, makes tracking ids, writes its state file. Changes no
   * disk.
   */
  abstract add(definition: VmDefinition, signal: AbortSignal): Promise<VmSummary>;

  /**
   * Claims the VM for one attempt of a job; every later call of the attempt passes the claim. The
   * claim of a service that died no longer counts.
   * @throws Fault `engine.vm-busy` while another claim lives
   */
  abstract claim(vm: VmId, jobId: string, signal: AbortSignal): Promise<Claim>;

  abstract start(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void>;

  /**
   * Asks the guest to shut down; powers off with `force`, or if the guest exceeds the limit. Then
   * merges each disk into its image, in the background unless `wait`; a start does not wait for
   * that.
   */
  abstract stop(vm: VmId, options: StopOptions, signal: AbortSignal, claim?: Claim): Promise<void>;

  /**
   * Turns the VM back into plain disks without Hyperkeep and forgets it; its disks stay.
   * @throws Fault `engine.vm-running`, `engine.merge-failed`; the VM is still known then
   */
  abstract release(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<VmDefinition>;

  /** Powers off and removes the VM with its disks and state. */
  abstract destroy(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void>;

  /** Freezes all disks that are not excluded at one instant. */
  abstract freeze(vm: VmId, options: FreezeOptions, signal: AbortSignal): Promise<FrozenVm>;

  /**
   * Runs a program inside the guest and waits for its end. What goes wrong in the guest is in the
   * result and no error; without an agent that is the `problem`.
   */
  abstract runInGuest(
    claim: Claim,
    command: GuestCommand,
    signal: AbortSignal,
  ): Promise<GuestCommandEnd>;

  /**
   * Promises commands to the guest, durably: whatever becomes of the job and the service, they run
   * once by `payGuest`, or twice if the service dies meanwhile. Replaces what was promised before.
   * The promise ends with the guest.
   */
  abstract oweGuest(
    claim: Claim,
    commands: readonly GuestCommand[],
    signal: AbortSignal,
  ): Promise<void>;

  /**
   * Runs the commands that are promised to the guest, in their order. Those after one that the
   * agent did not hear of stay promised.
   */
  abstract payGuest(claim: Claim, signal: AbortSignal): Promise<GuestCommandEnd[]>;

  /**
   * Begins a new history for a disk: what is known about its changes is no longer believed, and the
   * next backup to every vault reads it whole. A disk that is gone is no error. While the claim
   * uses a frozen state, this is durable at once and takes effect when that state is given back.
   * @throws Fault `engine.vm-busy` while somebody else holds the VM
   */
  abstract distrust(vm: VmId, diskId: string, signal: AbortSignal, claim?: Claim): Promise<void>;

  /**
   * Answers the question that `engine.base-replaced` asks, for all disks of the VM that have one.
   * Changes no content; unwanted overlays get another name. The next backup reads these disks
   * whole. If there is nothing to decide, does nothing.
   * @throws Fault `engine.vm-busy` if the image is to be kept and the VM runs
   */
  abstract accept(vm: VmId, options: AcceptOptions, signal: AbortSignal): Promise<AcceptedDisk[]>;

  /**
   * Repairs whatever a crash left behind, and runs what is still promised to guests; for the start
   * of the service. @returns what it did
   */
  abstract reconcile(signal: AbortSignal): Promise<string[]>;

  /**
   * Stops all merges, because the service stops soon. An interrupted merge goes on at the next
   * start.
   */
  abstract giveUpMerges(): void;

  /** Stops watching. VMs go on running. */
  abstract close(): Promise<void>;
}
