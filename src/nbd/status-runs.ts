import type { Extent } from '../disk/extent.ts';
import type { ConnectionPool } from './connection-pool.ts';
import { protocolFault } from './nbd-fault.ts';
import type { StatusRun } from './pending-request.ts';
import { Command } from './protocol.ts';

/** What several contexts say about one range. */
export interface ContextRun extends Extent {
  /** In the order of the requested contexts. */
  readonly flags: readonly number[];
}

/** Size of one query; a caller can stop between two. */
const ASK_BYTES_MAX = 1024 ** 3;

/**
 * Queries what `within` holds, in all `contexts` at once. Answers may cover less than was
 * requested, and each context may be cut differently: yields pieces on which all contexts agree.
 */
export async function* contextRuns(
  pool: ConnectionPool,
  contexts: readonly string[],
  within: Extent,
  signal: AbortSignal,
): AsyncGenerator<ContextRun> {
  const unit = pool.facts.blockBytesMin;
  const end = within.offset + within.length;
  // A server with large blocks refuses queries that start or end inside a block.
  let position = within.offset - (within.offset % unit);
  const last = Math.min(Math.ceil(end / unit) * unit, pool.facts.size);
  while (position < last) {
    const length = Math.min(last - position, ASK_BYTES_MAX);
    const request = { command: Command.blockStatus, offset: position, length };
    const runsOf = await pool.status(request, signal);
    const answered = intersect(
      contexts.map((name) => runsOf(name)),
      { offset: position, length },
    );
    for (const run of answered) {
      position = run.offset + run.length;
      const from = Math.max(run.offset, within.offset);
      const to = Math.min(position, end);
      if (to > from) {
        yield { offset: from, length: to - from, flags: run.flags };
      }
    }
  }
}

/** Cuts runs at each other's borders, up to the end of the shortest list. */
function* intersect(
  lists: readonly (readonly StatusRun[])[],
  asked: Extent,
): Generator<ContextRun> {
  if (lists.some((list) => list.length === 0)) {
    throw protocolFault('a status that leaves a context out');
  }
  const cursors = lists.map((runs) => ({ runs, index: 0, left: runs[0]?.length ?? 0 }));
  let offset = asked.offset;
  const end = asked.offset + asked.length;
  while (offset < end && cursors.every(({ left }) => left > 0)) {
    // The last run may extend beyond the requested range.
    const length = Math.min(end - offset, ...cursors.map(({ left }) => left));
    yield { offset, length, flags: cursors.map(({ runs, index }) => runs[index]?.flags ?? 0) };
    offset += length;
    for (const cursor of cursors) {
      cursor.left -= length;
      if (cursor.left === 0) {
        cursor.index += 1;
        cursor.left = cursor.runs[cursor.index]?.length ?? 0;
      }
    }
  }
}
