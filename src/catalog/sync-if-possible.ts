import type { Log } from '../kernel/log.ts';
import type { RegisteredVaults } from './registered-vaults.ts';

/**
 * Makes the catalog show what the vault has now. Logs if it cannot: the vault has the change, and
 * the catalog is a copy, which the next look at the vault updates.
 */
export async function syncIfPossible(
  vaults: Pick<RegisteredVaults, 'sync'>,
  vaultId: string,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  try {
    await vaults.sync(vaultId, signal);
  } catch (error) {
    log.warn('catalog.not-synced', { vaultId, error });
  }
}
