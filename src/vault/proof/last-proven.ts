import { parsePackKey } from '../layout.ts';
import type { ObjectKey } from '../object-store.ts';
import type { RecoveryPoint } from '../recovery-point.ts';
import type { Ulid } from '../ulid.ts';
import type { VaultInside } from '../vault.ts';
import { pointPacks } from './point-packs.ts';
import type { PackProof } from './proof-ledger.ts';

/** How much of a point was proven by scrubs, and since when. */
export interface LastProven {
  readonly packs: number;
  /** Packs of which the last check found a generation whole. */
  readonly proven: number;
  readonly damaged: number;
  /** The oldest of these checks; undefined unless all packs were found whole. */
  readonly oldestMs?: number;
}

/** A point is as proven as the pack of it that was looked at longest ago. */
export async function lastProven(
  inside: VaultInside,
  point: RecoveryPoint,
  proofs: ReadonlyMap<ObjectKey, PackProof>,
  signal: AbortSignal,
): Promise<LastProven> {
  const best = bestOfPacks(proofs);
  const { document } = await inside.points.load(point, signal);
  const packs = await pointPacks(inside, document, signal);
  const checks = packs.map(({ ulid }) => best.get(ulid));
  const whole = checks.filter((proof) => proof !== undefined && proof.damage === undefined);
  const damaged = checks.filter((proof) => proof?.damage !== undefined).length;
  const summary = { packs: checks.length, proven: whole.length, damaged };
  const timesMs = checks.map((proof) => proof?.checkedAtMs ?? 0);
  return whole.length < checks.length
    ? summary
    : { ...summary, oldestMs: timesMs.reduce((a, b) => Math.min(a, b), Infinity) };
}

/** Of the generations of a pack the one that was found whole last. */
function bestOfPacks(proofs: ReadonlyMap<ObjectKey, PackProof>): Map<Ulid, PackProof> {
  const best = new Map<Ulid, PackProof>();
  const rank = ({ damage, checkedAtMs }: PackProof): number =>
    damage === undefined ? checkedAtMs : -1;
  for (const proof of proofs.values()) {
    const ulid = parsePackKey(proof.key)?.ulid ?? '';
    const known = best.get(ulid);
    if (known === undefined || rank(proof) > rank(known)) {
      best.set(ulid, proof);
    }
  }
  return best;
}
