import type { PackNumbers } from './pack-numbers.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { PackSecrets } from './pack-tail.ts';

/** What all parts of a vault share. */
export interface VaultBase extends PackSecrets {
  readonly store: ObjectStore;
  readonly numbers: PackNumbers;
}
