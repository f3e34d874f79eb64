import type { HeldVault } from '../../../src/catalog/open-vaults.ts';
import type { Vault } from '../../../src/vault/vault.ts';

/** For who asks a service for a vault that the test itself opens and closes. */
export function heldVault(vault: Vault): HeldVault {
  return { vault, [Symbol.dispose]: () => undefined };
}
