import type { Clock } from '../../../kernel/clock.ts';
import type { Log } from '../../../kernel/log.ts';
import type { Shared } from '../../../kernel/waiting/shared.ts';
import type { Sessions } from '../process/sessions.ts';
import type { EngineFolders } from '../state/vm-paths.ts';

/** Steps at which a test may end the service, to see that the next one repairs it. */
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

/** Limits of the engine; all have defaults. */
export interface EngineLimits {
  /** How long an action waits for another one on the same VM. */
  readonly actionWaitMs: number;
  /** How long a guest may take to shut down before it is powered off. */
  readonly shutdownMs: number;
  /** Bytes that must be free beside the disks for a freeze to begin. */
  readonly freeBytesMin: number;
  /** Free bytes at which a VM that stopped on a full host disk goes on. */
  readonly resumeFreeBytes: number;
  /** How often to check for room on a full host disk. */
  readonly resumeLookMs: number;
  /**
   * A backup ends when an overlay grows beyond this while it is read. Default: half of the free
   * bytes.
   */
  readonly overlayBytesMax: number | undefined;
  /** A guest that is frozen for longer is thawed. */
  readonly frozenMsMax: number;
  /** How long an agent may take to freeze. */
  readonly freezeMsMax: number;
  /**
   * How long an action asks a guest that may have stayed frozen, before it goes on without its
   * answer. Less than half of `actionWaitMs`: two such actions in a row keep nobody from a third.
   */
  readonly thawMsMax: number;
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
  thawMsMax: 9_000,
};

/** What QEMU answered when it was only looked at. */
export interface Said {
  readonly said: string;
  readonly ioError: string | undefined;
  /** Why it is not this VM's QEMU, for people. */
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
   * Functions that give up each frozen state in use when the service ends; nothing is merged then.
   */
  readonly frozen: Set<() => Promise<void>>;
  /** Running questions to a VM's second monitor, which serves one client at a time. */
  readonly looks: Shared<string, Said>;
  readonly step: (step: Step) => Promise<void>;
  /** Returns a signal that fires when a merge must make room for the end of its VM. */
  readonly mergeSignal: (vmId: string) => AbortSignal;
  /** Merges in the background what may be merged of a VM that nobody holds. */
  readonly mergeLater: (vmId: string) => void;
  /** Goes on asking in the background a guest that did not answer to its thaw. */
  readonly thawLater: (vmId: string) => void;
  /** Whether layers of a powered-off VM are being merged now. */
  readonly isMerging: (vmId: string) => boolean;
}
