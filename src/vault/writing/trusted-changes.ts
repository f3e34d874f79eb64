import type { Log } from '../../kernel/log.ts';
import { fragmentedRanges } from './fragmented-ranges.ts';
import type { MapTree } from '../maps/map-tree.ts';
import { proveTracking } from './tracking-proof.ts';
import type { DiskSource } from './new-point.ts';
import type { Running } from '../../kernel/progress.ts';
import type { TaskPool } from '../tasks/task-pool.ts';

/**
 * Returns a disk with what to read of it, given its changes. First checks change tracking in the
 * ranges that the source names: if it missed a change there, its changes are not believed and the
 * whole disk is read. Then adds pieces of changed leaves that are worth storing anew.
 * @param parts `last` is the disk's map in the parent point
 */
export async function trustedSource(
  {
    pool,
    log,
    last,
  }: { readonly pool: TaskPool; readonly log: Log; readonly last: MapTree | undefined },
  source: DiskSource,
  running: Running,
): Promise<DiskSource> {
  const { changes } = source;
  if (last === undefined || changes.method !== 'changed-extents') {
    return source;
  }
  const { extents } = changes;
  const toProve = { changed: extents, ranges: source.prove ?? [] };
  const { wrong } = await proveTracking({ pool, last }, source, toProve, running);
  const [first] = wrong;
  if (first !== undefined) {
    log.error('vault.tracking-wrong', {
      diskId: source.diskId,
      ranges: wrong.length,
      firstOffset: first.offset,
      firstLength: first.length,
    });
    return { ...source, changes: { method: 'full', reason: 'tracking-wrong' } };
  }
  const anew = await fragmentedRanges(last, extents, running.signal);
  const data = anew.map((range) => ({ ...range, content: 'data' as const }));
  return { ...source, changes: { method: 'changed-extents', extents: [...extents, ...data] } };
}
