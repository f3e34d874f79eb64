import { dirname } from 'node:path';
import { statfs } from '../../../kernel/files/files.ts';
import type { Log } from '../../../kernel/log.ts';
import { plainWords } from '../../../kernel/text/plain-text.ts';
import { Shared } from '../../../kernel/waiting/shared.ts';
import { QmpClient } from '../qmp/qmp-client.ts';
import type { QmpEvent } from '../qmp/qmp-results.ts';
import type { VmPaths } from '../state/vm-paths.ts';

/** Commands of the watch are given up after this; it tries again later. */
const WATCH_COMMAND_MS_MAX = 5_000;
const REASON_CHARACTERS_MAX = 100;
/** Reason given for a VM that stopped before we were connected to it. */
export const IO_ERROR = 'the VM stands still after an I/O error of a host disk';

export interface SessionLimits {
  readonly resumeFreeBytes: number;
  readonly resumeLookMs: number;
}

/** The connection to the QEMU of one VM, and what it reported since. */
export class Session {
  readonly qmp: QmpClient;
  readonly vmId: string;
  private readonly limits: SessionLimits;
  private readonly log: Log;
  private readonly diskFolders: readonly string[];
  /** Whether the guest or we ended the VM in order. */
  hasShutDown = false;
  /** Why the VM is stopped, if an I/O error stopped it. */
  ioError: string | undefined;
  private resumeTimer: NodeJS.Timeout | undefined;
  private readonly onOverlayFull: (nodeName: string) => void;

  constructor(
    qmp: QmpClient,
    options: {
      readonly vmId: string;
      readonly diskPaths: readonly string[];
      readonly limits: SessionLimits;
      readonly log: Log;
      /** Called with the node of an overlay that grew beyond its limit. */
      readonly onOverlayFull: (nodeName: string) => void;
    },
  ) {
    this.qmp = qmp;
    this.vmId = options.vmId;
    this.limits = options.limits;
    this.log = options.log;
    this.onOverlayFull = options.onOverlayFull;
    this.diskFolders = [...new Set(options.diskPaths.map((path) => dirname(path)))];
    qmp.onEvent((event) => {
      this.note(event);
    });
    void qmp.closed.then(() => {
      clearInterval(this.resumeTimer);
    });
  }

  /** Finds out about an I/O error from before we were connected. */
  async look(signal: AbortSignal): Promise<string> {
    const { status } = await this.qmp.execute('query-status', {}, signal, WATCH_COMMAND_MS_MAX);
    if (status === 'io-error') {
      this.ioError ??= IO_ERROR;
      this.watchRoom();
    } else if (status === 'running') {
      this.ioError = undefined;
    }
    return status;
  }

  async close(): Promise<void> {
    clearInterval(this.resumeTimer);
    await this.qmp.close();
  }

  private note({ event, data }: QmpEvent): void {
    if (event === 'SHUTDOWN') {
      this.hasShutDown = true;
    } else if (event === 'BLOCK_IO_ERROR' && data['action'] === 'stop') {
      const isFull = data['nospace'] === true;
      this.ioError = isFull
        ? 'host disk full: the VM stands still and goes on by itself when there is room'
        : `host disk error (${plainWords(String(data['reason']), REASON_CHARACTERS_MAX)}): the VM stands still`;
      this.log.error('engine.vm-stopped-by-io-error', { vmId: this.vmId, isFull });
      this.watchRoom();
    } else if (event === 'RESUME') {
      this.ioError = undefined;
      clearInterval(this.resumeTimer);
      this.resumeTimer = undefined;
    } else if (event === 'BLOCK_WRITE_THRESHOLD') {
      this.onOverlayFull(String(data['node-name']));
    }
  }

  private watchRoom(): void {
    this.resumeTimer ??= setInterval(() => {
      void this.resumeWhenThereIsRoom();
    }, this.limits.resumeLookMs).unref();
  }

  private async resumeWhenThereIsRoom(): Promise<void> {
    try {
      for (const folder of this.diskFolders) {
        if ((await freeBytes(folder)) < this.limits.resumeFreeBytes) {
          return;
        }
      }
      const signal = AbortSignal.timeout(WATCH_COMMAND_MS_MAX);
      const { status } = await this.qmp.execute('query-status', {}, signal);
      if (status === 'io-error') {
        await this.qmp.execute('cont', {}, signal);
        this.log.info('engine.vm-resumed', { vmId: this.vmId });
      }
    } catch (error) {
      // The next look tries again; a VM that has ended stops the timer.
      this.log.debug('engine.resume-failed', { vmId: this.vmId, error });
    }
  }
}

/** Returns how many bytes an ordinary user can still write to the file system of `folder`. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** Watches the overlays of a VM, over all connections to it. */
export interface OverlayListener {
  /** Called with the node of an overlay that grew beyond its limit. */
  readonly overlayFull: (nodeName: string) => void;
  /** Called for a new connection: events since the last one were missed. */
  readonly connected: (session: Session) => void;
}

export interface SessionOwner {
  readonly vmId: string;
  readonly paths: VmPaths;
  readonly diskPaths: readonly string[];
}

/** The connections to all running VMs; a lost one is made anew when it is needed. */
export class Sessions {
  private readonly limits: SessionLimits;
  private readonly log: Log;
  private readonly open = new Map<string, Session>();
  private readonly listeners = new Set<{
    readonly vmId: string;
    readonly listener: OverlayListener;
  }>();
  private readonly connecting = new Shared<string, Session>();
  /** VMs that shut down in order before their connection ended, until `takeShutDown`. */
  private readonly shutDown = new Set<string>();
  private readonly onEnded: (vmId: string) => void;

  /** @param onEnded called when a connection was lost that nobody closed: the VM may have ended */
  constructor(limits: SessionLimits, log: Log, onEnded: (vmId: string) => void) {
    this.limits = limits;
    this.log = log;
    this.onEnded = onEnded;
  }

  /** @throws Fault `engine.unreachable` */
  async get(owner: SessionOwner, signal: AbortSignal): Promise<Session> {
    return (
      this.current(owner.vmId) ??
      this.connecting.do(owner.vmId, signal, async (connecting) =>
        this.adopt(owner, await QmpClient.connect(owner.paths.monitor, connecting)),
      )
    );
  }

  /** Returns the existing connection. */
  current(vmId: string): Session | undefined {
    const known = this.open.get(vmId);
    return known?.qmp.isOpen === true ? known : undefined;
  }

  /** Takes over a connection that was just made. */
  adopt({ vmId, diskPaths }: SessionOwner, qmp: QmpClient): Session {
    const listeners = () => [...this.listeners].filter((entry) => entry.vmId === vmId);
    const session = new Session(qmp, {
      vmId,
      diskPaths,
      limits: this.limits,
      log: this.log,
      onOverlayFull: (nodeName) => {
        for (const { listener } of listeners()) {
          listener.overlayFull(nodeName);
        }
      },
    });
    this.open.set(vmId, session);
    for (const { listener } of listeners()) {
      listener.connected(session);
    }
    void qmp.closed.then(() => {
      if (this.open.get(vmId) === session) {
        this.open.delete(vmId);
        if (session.hasShutDown) {
          this.shutDown.add(vmId);
        }
        this.onEnded(vmId);
      }
    });
    return session;
  }

  /** Tells `listener` about the VM's overlays until the returned function is called. */
  watch(vmId: string, listener: OverlayListener): () => void {
    const entry = { vmId, listener };
    this.listeners.add(entry);
    return () => this.listeners.delete(entry);
  }

  /** Whether the VM, which no longer runs, reported a shutdown; answers once. */
  takeShutDown(vmId: string): boolean {
    return this.shutDown.delete(vmId);
  }

  /** Closes the connection of a VM that is meant to end. */
  async drop(vmId: string): Promise<void> {
    const session = this.open.get(vmId);
    this.open.delete(vmId);
    await session?.close();
  }

  async close(): Promise<void> {
    await Promise.all([...this.open.keys()].map(async (vmId) => this.drop(vmId)));
  }
}
