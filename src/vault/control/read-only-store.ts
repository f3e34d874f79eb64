import { refuseReadOnly, type VaultFormat } from './format-object.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { StoreLayer } from '../store/store-layer.ts';

/**
 * Refuses every change of a vault if its format has features with which this program can only read
 * it.
 */
class ReadOnlyObjectStore extends StoreLayer {
  readonly #format: VaultFormat;

  constructor(store: ObjectStore, format: VaultFormat) {
    super(store);
    this.#format = format;
  }

  override async put(): Promise<void> {
    refuseReadOnly(this.#format);
  }

  override async remove(): Promise<void> {
    refuseReadOnly(this.#format);
  }
}

/** Returns the store for changing a vault of this format, which refuses if this program may not. */
export function changeable(store: ObjectStore, format: VaultFormat): ObjectStore {
  return format.features.readOnly === 0 ? store : new ReadOnlyObjectStore(store, format);
}
