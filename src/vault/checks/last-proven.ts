import type { Aliases } from '../packs/aliases.ts';
import { parsePackKey, type PackName } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import type { Ulid } from '../bytes/ulid.ts';
import type { VaultInside } from '../vault-inside.ts';
import { pointPacks, slotsOfPacks } from './point-packs.ts';
import type { PackProof } from './proof-ledger.ts';

/** How much of a point scrubs have proven, and since when. */
export interface LastProven {
  readonly packs: number;
  /**
   * Packs that the last check found whole in some generation, or of which it found all that the
   * point needs under other names.
   */
  readonly proven: number;
  readonly damaged: number;
  /** Time of the oldest of these checks; undefined unless all packs were found whole. */
  readonly oldestMs?: number;
}

type Proofs = ReadonlyMap<Ulid, PackProof>;

/** Returns how far a point is proven: its pack that was checked longest ago decides. */
export async function lastProven(
  inside: VaultInside,
  point: RecoveryPoint,
  proofs: ReadonlyMap<ObjectKey, PackProof>,
  signal: AbortSignal,
): Promise<LastProven> {
  const best = bestOfPacks(proofs);
  const { document } = await inside.points.load(point, signal);
  const packs = await pointPacks(inside, document, signal);
  const { aliases } = inside.nodes.packs;
  await aliases.read(signal);
  const renamed = packs.filter(({ ulid }) => !isWhole(best.get(ulid)) && aliases.touches(ulid));
  const slots = await slotsOfPacks(inside, document, renamed, signal);
  const checks = packs.map(({ ulid }) => {
    const own = best.get(ulid);
    return isWhole(own) ? own.checkedAtMs : elsewhereMs({ ulid }, slots.get(ulid), aliases, best);
  });
  const whole = checks.filter((checkedAtMs) => checkedAtMs !== undefined);
  const damaged = packs.filter(
    ({ ulid }, index) => checks[index] === undefined && best.get(ulid)?.damage !== undefined,
  ).length;
  const summary = { packs: packs.length, proven: whole.length, damaged };
  return whole.length < packs.length
    ? summary
    : { ...summary, oldestMs: whole.reduce((a, b) => Math.min(a, b), Infinity) };
}

function isWhole(proof: PackProof | undefined): proof is PackProof {
  return proof !== undefined && proof.damage === undefined;
}

/**
 * Returns when all these slots were last proven in packs that have them under other names;
 * undefined if one was not.
 */
function elsewhereMs(
  { ulid }: Pick<PackName, 'ulid'>,
  slots: ReadonlySet<number> | undefined,
  aliases: Aliases,
  best: Proofs,
): number | undefined {
  let oldestMs = Infinity;
  for (const slot of slots ?? []) {
    const times = [...aliases.chain({ ulid, slot })]
      .map((name) => best.get(name.ulid))
      .filter(isWhole)
      .map(({ checkedAtMs }) => checkedAtMs);
    if (times.length === 0) {
      return undefined;
    }
    oldestMs = Math.min(oldestMs, Math.max(...times));
  }
  return oldestMs === Infinity ? undefined : oldestMs;
}

/** Returns, for each pack, the generation that was found whole last. */
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
