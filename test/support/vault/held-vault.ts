import type { HeldVault } from '../../../src/catalog/open-vaults.ts';
import type { Vault } from '../../../src/vault/vault.ts';

/** For tests that open and close the vault themselves and give it to a service. */
export function heldVault(vault: Vault): HeldVault {
  return { vault, [Symbol.dispose]: () => undefined };
}
