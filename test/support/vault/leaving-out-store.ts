import type { ObjectEntry, ObjectKey } from '../../../src/vault/store/object-store.ts';
import { StoreLayer } from '../../../src/vault/store/store-layer.ts';

/** A store whose lists leave out what they are told to; reading by key still finds it. */
export class LeavingOutStore extends StoreLayer {
  /** Whether a list of this prefix leaves a key out. */
  leavesOut: (key: ObjectKey, prefix: string) => boolean = () => false;

  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    for await (const entry of this.store.list(prefix, signal)) {
      if (!this.leavesOut(entry.key, prefix)) {
        yield entry;
      }
    }
  }
}
