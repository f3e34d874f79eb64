import fc from 'fast-check';
import { Malformed } from '../../src/vault/bytes/binary.ts';
import { isFault } from '../../src/kernel/fault.ts';

/** A parser of what others wrote. */
export interface FuzzTarget {
  readonly name: string;
  readonly inputs: fc.Arbitrary<Uint8Array>;
  /** Must return, or throw a Fault or Malformed. */
  readonly parse: (input: Uint8Array) => unknown;
  /** Memory that one call may take beyond its input; default 4 MiB. */
  readonly allocationMax?: number;
}

/** Processor time of one call: on a busy machine the clock tells nothing. */
const CALL_MS_MAX = 1000;
/** However slow the machine is. */
const CALLS_MIN = 25;
const ALLOCATION_MAX = 4 * 1024 * 1024;
/** JavaScript objects of what was parsed: this many bytes per byte of input. */
const ALLOCATION_PER_INPUT_BYTE = 128;

export interface FuzzResult {
  readonly name: string;
  readonly calls: number;
  readonly accepted: number;
  readonly slowestMs: number;
  readonly largestBytes: number;
}

/**
 * Feeds a target for the given time, and at least `CALLS_MIN` times. @throws any error that no
 * parser may throw, or an Error about a call that took too long or too much memory, with the input
 */
export function fuzz(target: FuzzTarget, milliseconds: number, seed: number): FuzzResult {
  const endsAtMs = performance.now() + milliseconds;
  const result = { name: target.name, calls: 0, accepted: 0, slowestMs: 0, largestBytes: 0 };
  const property = fc.property(target.inputs, (input) => {
    const { accepted, tookMs, bytes } = call(target, input);
    result.calls += 1;
    result.accepted += accepted ? 1 : 0;
    result.slowestMs = Math.max(result.slowestMs, tookMs);
    result.largestBytes = Math.max(result.largestBytes, bytes);
  });
  let round = seed;
  do {
    fc.assert(property, { seed: round, numRuns: CALLS_MIN });
    round += 1;
  } while (performance.now() < endsAtMs);
  return result;
}

function call(
  target: FuzzTarget,
  input: Uint8Array,
): { accepted: boolean; tookMs: number; bytes: number } {
  const before = held();
  const start = process.threadCpuUsage();
  let accepted = false;
  try {
    target.parse(input);
    accepted = true;
  } catch (error) {
    if (!isFault(error) && !(error instanceof Malformed)) {
      throw error;
    }
  }
  const { user, system } = process.threadCpuUsage(start);
  const tookMs = (user + system) / 1000;
  // A garbage collection in between hides memory from this measure once; the next call shows it.
  const bytes = Math.max(0, held() - before);
  const bytesMax =
    (target.allocationMax ?? ALLOCATION_MAX) + input.length * ALLOCATION_PER_INPUT_BYTE;
  if (tookMs > CALL_MS_MAX || bytes > bytesMax) {
    throw new Error(
      `took ${tookMs.toFixed(0)} ms of processor time and ${String(bytes)} bytes for ${String(input.length)}`,
    );
  }
  return { accepted, tookMs, bytes };
}

function held(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
