import type { ChangeSet } from '../disk/change-set.ts';
import type { Log } from '../kernel/log.ts';
import { fragmentedRanges } from './fragmented-ranges.ts';
import { proveTracking, type ProofParts } from './tracking-proof.ts';
import type { DiskSource, Running } from './vault-options.ts';

type Changes = Extract<ChangeSet, { method: 'changed-extents' }>;

/**
 * What to read of a disk whose changes are known. First the tracking itself is checked in the ranges
 * that the source names: if it missed anything there, nothing that it says is believed, and the disk is
 * read whole. Then pieces of changed leaves that are worth storing anew are added.
 */
export async function trustedChanges(
  parts: ProofParts & { readonly log: Log },
  source: Omit<DiskSource, 'changes'> & { readonly changes: Changes },
  running: Running,
): Promise<ChangeSet> {
  const { extents } = source.changes;
  const toProve = { changed: extents, ranges: source.prove ?? [] };
  const { wrong } = await proveTracking(parts, source, toProve, running);
  const [first] = wrong;
  if (first !== undefined) {
    parts.log.error('vault.tracking-wrong', {
      diskId: source.diskId,
      ranges: wrong.length,
      firstOffset: first.offset,
      firstLength: first.length,
    });
    return { method: 'full', reason: 'tracking-wrong' };
  }
  const anew = await fragmentedRanges(parts.last, extents, running.signal);
  const data = anew.map((range) => ({ ...range, content: 'data' as const }));
  return { method: 'changed-extents', extents: [...extents, ...data] };
}
