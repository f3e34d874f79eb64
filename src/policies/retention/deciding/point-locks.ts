import { isFault } from '../../../kernel/fault.ts';
import { pointKey } from '../../../vault/format/object-names.ts';
import type { RecoveryPoint } from '../../../vault/points/recovery-point.ts';
import type { Vault } from '../../../vault/vault.ts';

/**
 * Returns until when the store lets nobody remove points. Only for locks that are not the vault's
 * own: its keeper extends those of every point that stands, so they would keep all for ever; they
 * end by themselves once a point was given up.
 */
export async function lockedUntil(
  vault: Vault,
  points: readonly RecoveryPoint[],
  due: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const { base, format } = vault.inside;
  const { features } = base.store;
  const found = new Map<string, number>();
  if (features === undefined || format.lock !== undefined || due.length === 0) {
    return found;
  }
  try {
    if (!(await features.lockEnabled(signal))) {
      return found;
    }
    const wanted = new Set(due);
    for (const { id, vmId } of points.filter((point) => wanted.has(point.id))) {
      const lock = await features.lockOf({ key: pointKey(vmId, id) }, signal);
      if (lock !== undefined) {
        found.set(id, lock.untilMs);
      }
    }
  } catch (error) {
    // Who may not ask for locks may still give points up; the store holds what it has locked.
    if (!isFault(error, 'store.denied')) {
      throw error;
    }
  }
  return found;
}
