import { Fault, isFault } from '../../kernel/fault.ts';
import { PREFIXES } from '../format/object-names.ts';
import { getOrDamage, isSame } from '../format/object-limit.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import { keysOf, vaultAt } from './copy-place.ts';
import { notKept } from './object-sender.ts';
import type { PackRoll } from './pack-roll.ts';

const ASKED_AT_ONCE = 16;

interface ProofParts {
  readonly source: ObjectStore;
  readonly target: ObjectStore;
  /** In hex. */
  readonly vaultId: string;
}

/**
 * Proves a copy before a point in it counts. A copy takes hours: meanwhile its disk may be
 * unmounted, another vault may take its place, and objects may be removed there.
 */
export class CopyProof {
  readonly #parts: ProofParts;

  constructor(parts: ProofParts) {
    this.#parts = parts;
  }

  /**
   * Checks that the target is still a copy of this vault. Costs one LIST and one GET.
   * @throws Fault `vault.not-found`, `copy.other-vault`
   */
  async place(signal: AbortSignal): Promise<void> {
    const { target, vaultId } = this.#parts;
    const { location } = target;
    const there = await vaultAt(target, signal);
    if (there === undefined) {
      throw new Fault(
        'vault.not-found',
        `The copy is not at ${location} any more: its mount went away, or it was moved or emptied while it was made. No further recovery point counts there; see that the copy is at its place, then repeat.`,
        { location },
      );
    }
    if (there !== vaultId) {
      throw new Fault(
        'copy.other-vault',
        `Another vault has come to ${location} while a copy was made there. Its recovery points are what they were, and none was added; see that the copy is at its place, then repeat.`,
        { location },
      );
    }
  }

  /**
   * Checks that the copy can be opened as the source can: its key objects and formats arrived.
   * @returns keys of objects that differ in the target
   * @throws Fault `store.hash-mismatch` if one is missing
   */
  async keysAndFormats(signal: AbortSignal): Promise<ObjectKey[]> {
    const { source, target } = this.#parts;
    const keys: ObjectKey[] = [];
    for (const prefix of [PREFIXES.keys, PREFIXES.format]) {
      const there = await keysOf(target, prefix, signal);
      // An object that came to the source since is left to the next copy.
      keys.push(...[...(await keysOf(source, prefix, signal))].filter((key) => there.has(key)));
    }
    return this.differing(keys, signal);
  }

  /**
   * Returns which of these objects differ in the target. Objects that the source no longer has are
   * skipped.
   * @throws Fault `store.hash-mismatch` if the source has one that the target lacks
   */
  async differing(keys: Iterable<ObjectKey>, signal: AbortSignal): Promise<ObjectKey[]> {
    const { source, target } = this.#parts;
    const differing: ObjectKey[] = [];
    await mapAtOnce(keys, ASKED_AT_ONCE, async (key) => {
      const here = await getOrDamage(source, key, signal);
      const there = await getOrDamage(target, key, signal);
      if (isFault(here)) {
        // Too large for an object of a vault; it was not copied.
        differing.push(key);
      } else if (here !== undefined && there === undefined) {
        throw notKept(key, target);
      } else if (here !== undefined && !isSame(there, here)) {
        differing.push(key);
      }
    });
    return differing.sort();
  }

  /** Whether the target lists all packs that the source had when they were copied. */
  async hasPacks(rolls: ReadonlyMap<string, PackRoll>, signal: AbortSignal): Promise<boolean> {
    for (const [prefix, roll] of rolls) {
      if (!(await roll.isIn(this.#parts.target.list(prefix, signal)))) {
        return false;
      }
    }
    return true;
  }
}
