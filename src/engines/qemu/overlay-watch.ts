import type { DiskReader } from '../../disk/disk-reader.ts';
import { Fault } from '../../kernel/fault.ts';
import { RevocableReader } from './frozen-vm.ts';
import type { Session } from './sessions.ts';

/**
 * Takes the frozen state away from its reader when an overlay grows beyond its limit: the backup
 * fails, the layers are merged, the VM never notices.
 */
export class OverlayWatch {
  private readonly revocation = new AbortController();
  private readonly unsubscribe: () => void;

  constructor(session: Session | undefined, vmName: string) {
    this.unsubscribe =
      session?.onOverlayFull(() => {
        this.revocation.abort(
          new Fault(
            'engine.overlay-full',
            `${vmName} wrote more than its snapshot may hold, so this backup was given up. ` +
              'Free space beside its disks, or back up at a quieter time.',
          ),
        );
      }) ?? (() => undefined);
  }

  guard(reader: DiskReader): DiskReader {
    return new RevocableReader(reader, this.revocation.signal);
  }

  /** The frozen state is given up by the service: nothing of it can be read any more. */
  revoke(): void {
    this.stop();
    this.revocation.abort(
      new Fault('engine.hold-lost', 'The frozen state was given up while it was being read.'),
    );
  }

  stop(): void {
    this.unsubscribe();
  }
}
