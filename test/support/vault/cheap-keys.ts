import { KDF_DEFAULT } from '../../../src/vault/keys/key-object.ts';
// Computed from the cost that people get, whatever loads first.
import '../../../src/vault/access/key-search.ts';

/**
 * Vaults that this process creates have cheap keys. The cost of a new key is proven where it is
 * defined, and processes of their own pay it: the demo, the killed services and rescues.
 */
Object.assign(KDF_DEFAULT, { memoryKib: 64, passes: 1, lanes: 1 });
