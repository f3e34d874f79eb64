import type { TrackingState } from '../../../src/disk/change-set.ts';
import type { Extent } from '../../../src/disk/extent.ts';
import type {
  Claim,
  FreezeOptions,
  FrozenDisk,
  FrozenVm,
  StopOptions,
} from '../../../src/engines/engine.ts';
import type { GateMoment } from '../s3/s3-gate.ts';
import type { VmDefinition } from '../../../src/vm/definition.ts';

/** Before something takes effect, or after it did and before whoever does it hears of it. */
export type Moment = GateMoment;

export type ClaimFacts = Pick<Claim, 'vmId' | 'jobId' | 'fence'>;

/** What a call of the engine carries; each call has its part of it. */
export interface EngineArguments {
  readonly vm?: string;
  readonly job?: string;
  readonly claim?: ClaimFacts;
  readonly definition?: VmDefinition;
  readonly stop?: StopOptions;
  readonly freeze?: Omit<FreezeOptions, 'claim'>;
  /** Id of a disk. */
  readonly disk?: string;
  /** Number of a frozen state. */
  readonly frozen?: number;
  readonly state?: TrackingState;
  readonly range?: Extent;
  /** Of `note`: what is done to a VM of another engine, and when. */
  readonly step?: string;
  readonly moment?: Moment;
}

/** A frozen state on the wire. */
export interface FrozenFacts extends Pick<
  FrozenVm,
  | 'takenAtMs'
  | 'consistency'
  | 'consistencyReason'
  | 'guestFrozenMs'
  | 'transactionMs'
  | 'definition'
  | 'warnings'
> {
  readonly frozen: number;
  readonly disks: readonly Pick<FrozenDisk, 'diskId' | 'name' | 'sizeBytes' | 'tracking'>[];
  readonly countsWrites: boolean;
}

/** A fault on the wire; without `code` it is a bug. */
export interface WireFault {
  readonly code?: string;
  readonly message: string;
  readonly context?: object;
}
