import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import type { Shared } from '../../kernel/shared.ts';
import type { Sessions } from './sessions.ts';
import type { EngineFolders } from './vm-paths.ts';

/** Moments at which a test may end the service, to see that the next one repairs it. */
export type Step =
  | 'overlays-planned'
  | 'overlays-made'
  | 'overlays-added'
  | 'announced'
  | 'guest-frozen'
  | 'pivoted'
  | 'thawed'
  | 'frozen-saved'
  | 'changes-logged'
  | 'merge-announced'
  | 'merge-started'
  | 'merge-committed'
  | 'merge-saved'
  | 'merge-closed'
  | 'start-announced'
  | 'launched'
  | 'layers-put'
  | 'stopped-frozen'
  | 'stopped-logged'
  | 'stopped-merge-announced'
  | 'stopped-merge-launched'
  | 'stopped-merge-started'
  | 'stopped-merge-committed'
  | 'stopped-merge-closed'
  | 'stopped-merge-durable'
  | 'stopped-merge-saved'
  | 'stopped-merge-unlinked'
  | 'released';

/** What limits the engine keeps to; all have defaults. */
export interface EngineLimits {
  /** How long an action waits for another one on the same VM. */
  readonly actionWaitMs: number;
  /** How long a guest may take to shut down before it is powered off. */
  readonly shutdownMs: number;
  /** Free bytes that must be left beside the disks for a freeze to begin. */
  readonly freeBytesMin: number;
  /** Free bytes at which a VM that stopped on a full host disk goes on. */
  readonly resumeFreeBytes: number;
  /** How often a full host disk is looked at. */
  readonly resumeLookMs: number;
  /**
   * An overlay that grows beyond this while it is being read ends the backup. Default: half of what
   * is free.
   */
  readonly overlayBytesMax: number | undefined;
  /** After this a frozen guest is thawed. */
  readonly frozenMsMax: number;
  /** How long an agent may take to freeze. */
  readonly freezeMsMax: number;
}

export const DEFAULT_LIMITS: EngineLimits = {
  actionWaitMs: 30_000,
  shutdownMs: 60_000,
  freeBytesMin: 256 * 1024 * 1024,
  resumeFreeBytes: 64 * 1024 * 1024,
  resumeLookMs: 2_000,
  overlayBytesMax: undefined,
  frozenMsMax: 30_000,
  freezeMsMax: 10_000,
};

/** What QEMU answered to a look. */
export interface Said {
  readonly said: string;
  readonly ioError: string | undefined;
  /** For people, when it is not this VM's QEMU. */
  readonly notOurs: string | undefined;
}

/** What the parts of the engine share. */
export interface EngineParts {
  readonly folders: EngineFolders;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: EngineLimits;
  readonly sessions: Sessions;
  /**
   * What gives up each frozen state that is in use when the service ends: nothing is merged then.
   */
  readonly frozen: Set<() => Promise<void>>;
  /** What QEMU is asked aside, by VM: its second monitor serves one client at a time. */
  readonly looks: Shared<string, Said>;
  readonly step: (step: Step) => Promise<void>;
  /** Fires when a merge has to make room for the end of its VM. */
  readonly mergeSignal: (vmId: string) => AbortSignal;
  /** Merges what may be merged of a VM that nobody holds, in the background. */
  readonly mergeLater: (vmId: string) => void;
  /** Whether layers of the VM, which is off, are being merged now. */
  readonly isMerging: (vmId: string) => boolean;
}
