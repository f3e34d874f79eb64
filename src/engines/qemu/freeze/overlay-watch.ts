import { dirname } from 'node:path';
import type { DiskReader } from '../../../disk/disk-reader.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import { fileNodeName } from '../process/node-graph.ts';
import type { QmpClient } from '../qmp/qmp-client.ts';
import type { QmpResult } from '../qmp/qmp-results.ts';
import { freeBytes, type Session } from '../process/sessions.ts';
import type { DiskState, Layer } from '../state/vm-state.ts';
import { RevocableReader } from './revocable-reader.ts';

/** QEMU usually answers within milliseconds. */
const ARM_MS_MAX = 30_000;

/** The layer that a disk writes to while the one below is read. */
export interface WatchedTop {
  readonly disk: DiskState;
  readonly layer: Layer;
}

/**
 * Takes the frozen state away from its reader when an overlay grows beyond its limit: the backup
 * fails, the layers are merged, and the VM never notices.
 *
 * QEMU sends the event once, to clients connected then. So we listen before we set the limit, and
 * check the sizes afterwards; on every new connection we do both again.
 */
export class OverlayWatch {
  private readonly parts: EngineParts;
  private readonly vmName: string;
  private readonly revocation = new AbortController();
  private readonly unsubscribe: () => void;
  /** Limits in bytes, by the name of the overlay's file node. */
  private readonly limits = new Map<string, number>();

  constructor(parts: EngineParts, vm: { readonly id: string; readonly name: string }) {
    this.parts = parts;
    this.vmName = vm.name;
    this.unsubscribe = parts.sessions.watch(vm.id, {
      overlayFull: (nodeName) => {
        if (this.limits.has(nodeName)) {
          this.giveUp();
        }
      },
      connected: (session) => {
        this.armAgain(session);
      },
    });
  }

  /** Sets which overlays to watch; for a powered-off VM this counts from its start. */
  async expect(tops: readonly WatchedTop[]): Promise<void> {
    for (const { disk, layer } of tops) {
      const free = await freeBytes(dirname(layer.path));
      const limit = this.parts.limits.overlayBytesMax ?? Math.floor(free / 2);
      this.limits.set(fileNodeName(disk, layer), limit);
    }
  }

  /** Sets QEMU's limits, and checks whether one is exceeded already. */
  async arm(qmp: QmpClient, signal: AbortSignal): Promise<void> {
    // Of the layers that a start may choose from, one exists.
    const there = new Set((await nodesOf(qmp, signal)).map((node) => node['node-name']));
    for (const [node, limit] of [...this.limits].filter(([name]) => there.has(name))) {
      const parameters = { 'node-name': node, 'write-threshold': limit };
      await qmp.execute('block-set-write-threshold', parameters, signal);
    }
    for (const node of await nodesOf(qmp, signal)) {
      const limit = this.limits.get(node['node-name']);
      if (limit !== undefined && node.image['virtual-size'] > limit) {
        this.giveUp();
      }
    }
  }

  guard(reader: DiskReader): DiskReader {
    return new RevocableReader(reader, this.revocation.signal);
  }

  /** The service gives the frozen state up: it can no longer be read. */
  revoke(): void {
    this.stop();
    this.revocation.abort(
      new Fault('engine.hold-lost', 'The frozen state was given up while it was being read.'),
    );
  }

  stop(): void {
    this.unsubscribe();
  }

  private armAgain(session: Session): void {
    if (this.limits.size === 0) {
      return;
    }
    this.arm(session.qmp, AbortSignal.timeout(ARM_MS_MAX)).catch((error: unknown) => {
      // A QEMU that has ended writes nothing; the next connection tries again.
      this.parts.log.warn('engine.overlay-not-watched', { vmId: session.vmId, error });
    });
  }

  private giveUp(): void {
    this.revocation.abort(
      new Fault(
        'engine.overlay-full',
        `${this.vmName} wrote more than its snapshot may hold, so this backup was given up. ` +
          'Free space beside its disks, or back up at a quieter time.',
      ),
    );
  }
}

async function nodesOf(
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<QmpResult<'query-named-block-nodes'>> {
  return qmp.execute('query-named-block-nodes', { flat: true }, signal);
}
