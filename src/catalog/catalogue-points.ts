import type { Log } from '../kernel/log.ts';
import { vanishedPoints } from '../vault/collect/roots/left-out.ts';
import { Holds } from '../vault/points/holds.ts';
import type { Vault } from '../vault/vault.ts';
import type { PointCatalog } from './point-catalog.ts';

/**
 * Makes the catalog show exactly the points that the vault has now.
 * @throws Fault `vault.list-incomplete` if the vault lists fewer points than it has: the catalog
 *   stays as it is then
 */
export async function cataloguePoints(
  vault: Vault,
  catalog: PointCatalog,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const vaultId = vault.id;
  const listing = await catalog.beginListing();
  // Read before the vault is listed: these points were sealed, so a listing that begins now must
  // show them.
  const known = (await catalog.list({ vaultId })).map(({ point }) => point);
  const points = await vault.points(signal);
  const { base, log: controlLog, points: inVault } = vault.inside;
  const vanished = await vanishedPoints(inVault, known, points, signal);
  if (vanished.length > 0) {
    log.error('catalog.points-vanished', {
      vaultId,
      points: vanished.map(({ id }) => id).join(' '),
    });
  }
  const holds = await new Holds(base, controlLog).list(signal);
  const left = await catalog.replace(vaultId, { listing, points, holds });
  for (const { pointId, why } of left) {
    log.error('catalog.point-not-written', { vaultId, pointId, error: why });
  }
}

/**
 * Makes the catalog show what a vault has now. Logs if it cannot: the vault has the change, and the
 * catalog is a copy, which the next look at the vault updates.
 */
export async function syncIfPossible(
  vaults: { sync(vaultId: string, signal: AbortSignal): Promise<void> },
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
