import { isFault } from '../../../kernel/fault.ts';
import type { WriteLatencies } from '../../engine.ts';
import type { QmpClient } from '../qmp/qmp-client.ts';
import type { LatencyHistogram, QmpResult } from '../qmp/qmp-results.ts';

const BOUNDS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const BOUNDS_NS = BOUNDS_MS.map((ms) => ms * 1_000_000);
/** QEMU counts the devices of a command line under this path; others are no disks of ours. */
const DEVICES = '/machine/peripheral/';
/** QEMU answers in about 2 ms. */
const ASK_MS_MAX = 5_000;

/**
 * Adds up QEMU's histograms of the writes and flushes of guest devices, and starts them where there
 * are none. They stay until QEMU ends and cost it next to nothing.
 *
 * Flushes count because a write ends in the page cache of the host: only a flush waits for the
 * disk.
 * @returns undefined if QEMU has ended
 */
export async function writeLatencies(
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<WriteLatencies | undefined> {
  try {
    return await ask(qmp, signal);
  } catch (error) {
    if (isFault(error, 'engine.unreachable')) {
      return undefined;
    }
    throw error;
  }
}

async function ask(qmp: QmpClient, signal: AbortSignal): Promise<WriteLatencies> {
  const { enabled } = await qmp.execute('query-kvm', {}, signal, ASK_MS_MAX);
  const writes = Array.from({ length: BOUNDS_MS.length + 1 }, () => 0);
  for (const { qdev, stats } of await devices(qmp, signal)) {
    const histograms = [stats.wr_latency_histogram, stats.flush_latency_histogram];
    if (histograms.every((histogram) => isOurs(histogram))) {
      for (const [index, count] of writes.entries()) {
        writes[index] = histograms.reduce((sum, found) => sum + (found?.bins[index] ?? 0), count);
      }
    } else {
      const boundaries = { 'boundaries-write': BOUNDS_NS, 'boundaries-flush': BOUNDS_NS };
      const parameters = { id: qdev, ...boundaries };
      await qmp.execute('block-latency-histogram-set', parameters, signal, ASK_MS_MAX);
    }
  }
  return { boundsMs: BOUNDS_MS, writes, isEmulated: !enabled };
}

async function devices(
  qmp: QmpClient,
  signal: AbortSignal,
): Promise<QmpResult<'query-blockstats'>> {
  const all = await qmp.execute('query-blockstats', {}, signal, ASK_MS_MAX);
  return all.filter(({ qdev }) => qdev?.startsWith(DEVICES) === true);
}

function isOurs(histogram: LatencyHistogram | undefined): boolean {
  const { boundaries, bins } = histogram ?? { boundaries: [], bins: [] };
  return (
    bins.length === BOUNDS_NS.length + 1 &&
    boundaries.length === BOUNDS_NS.length &&
    boundaries.every((boundary, index) => boundary === BOUNDS_NS[index])
  );
}
