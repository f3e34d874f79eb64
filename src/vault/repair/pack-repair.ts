import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { Fault } from '../../kernel/fault.ts';
import {
  generationAfter,
  packKey,
  parsePackKey,
  randomSuffix,
  type PackName,
} from '../format/object-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { PackDraft } from '../packs/pack-draft.ts';
import { PackCheck } from '../checks/pack-check.ts';
import type { Ulid } from '../bytes/ulid.ts';
import {
  generations,
  isSubset,
  lostEverywhere,
  readableSlots,
  wantedSlots,
  type Generation,
  type PackId,
  type GenerationSource,
} from '../checks/pack-generations.ts';
import { gatherSlots } from './gathered-slots.ts';
import type { SalvagedSlot } from './salvage.ts';

/** What was done about a pack that was damaged or missing. */
export interface PackRepair {
  readonly pack: Ulid;
  /**
   * `whole`: the generations here have everything, or a backup has healed what they lack under
   * another name. `copied`: an object was missing and came from the copy under its own key.
   * `rewritten`: a new generation holds what could be read. `lost`: nothing could be done.
   */
  readonly outcome: 'whole' | 'copied' | 'rewritten' | 'lost';
  /** Object that was written, or would be. */
  readonly key?: ObjectKey;
  readonly bytes: number;
  /** Slots that were unreadable before and are readable now. */
  readonly healedSlots: number;
  /** Slots that were found nowhere; `all` if not even their number is known. */
  readonly lostSlots: number | 'all';
  /** Slots that can be read now. */
  readonly readable: ReadonlySet<number>;
}

/** The slots known to have been in the pack, and those that can be read. */
interface Slots {
  readonly wanted: ReadonlySet<number>;
  readonly readable: ReadonlySet<number>;
}

type Repaired = PackRepair & Slots;

interface Known {
  readonly here: readonly Generation[];
  readonly there: readonly Generation[];
  /** Slots that can be read here. */
  readonly readable: ReadonlySet<number>;
}

export interface PackRepairParts {
  readonly vault: GenerationSource;
  readonly copy?: GenerationSource;
  /** If false, nothing is written. */
  readonly apply: boolean;
}

/**
 * Makes a damaged pack whole from what can be read of its generations, here and in a copy of the
 * vault. It never writes to an existing object: the result is a new generation, which readers find
 * when the damaged one fails. So neither object lock nor the rule of writing once stands in the
 * way.
 */
export class PackRepairer {
  readonly #parts: PackRepairParts;

  constructor(parts: PackRepairParts) {
    this.#parts = parts;
  }

  async repair(pack: PackId, signal: AbortSignal): Promise<PackRepair> {
    const { wanted, ...repair } = await this.#repair(pack, signal);
    if (repair.lostSlots === 0 || wanted.size === 0) {
      return repair;
    }
    const lost = [...wanted].filter((slot) => !repair.readable.has(slot));
    const { fetcher } = this.#parts.vault;
    const { length: lostSlots } = await lostEverywhere(fetcher, pack, lost, signal);
    const isHealed = lostSlots === 0 && repair.outcome === 'lost';
    return { ...repair, lostSlots, ...(isHealed ? { outcome: 'whole' } : {}) };
  }

  async #repair(pack: PackId, signal: AbortSignal): Promise<Repaired> {
    const { vault, copy } = this.#parts;
    const here = await generations(vault, pack, signal);
    const there = copy === undefined ? [] : await generations(copy, pack, signal);
    const known = { readable: readableSlots(here), wanted: wantedSlots([...here, ...there]) };
    if (known.wanted.size > 0 && here.some((one) => isWhole(one, known.wanted))) {
      return untouched(pack, 'whole', known);
    }
    const whole = there.find(({ findings }) => findings.why.length === 0);
    if (here.length === 0 && whole !== undefined && copy !== undefined) {
      return this.#copy(copy, whole, signal);
    }
    return this.#rewrite(pack, { here, there, readable: known.readable }, signal);
  }

  /** Copies an object that is missing here and whole there, under the same key. */
  async #copy(
    copy: GenerationSource,
    { name, findings }: Generation,
    signal: AbortSignal,
  ): Promise<Repaired> {
    const key = packKey(name);
    const slots = readableSlots([{ findings }]);
    const object = await storeOf(copy).get(key, signal);
    if (object === undefined) {
      return lostWhole(name, { readable: new Set(), wanted: slots });
    }
    await this.#write(key, object, signal);
    const now = { readable: slots, wanted: slots };
    return written(name, 'copied', { key, object, now, healedSlots: slots.size });
  }

  /** Writes a new generation with every slot that can be read, if that heals any. */
  async #rewrite(
    pack: PackId,
    { here, there, readable }: Known,
    signal: AbortSignal,
  ): Promise<Repaired> {
    const { vault, copy } = this.#parts;
    const slots = await gatherSlots(
      [
        { place: vault, generations: here },
        ...(copy === undefined ? [] : [{ place: copy, generations: there }]),
      ],
      signal,
    );
    const wanted = new Set(slots.keys());
    const found = [...wanted].filter((slot) => slots.get(slot)?.content !== undefined);
    if (found.length === 0) {
      return lostWhole(pack, { readable, wanted });
    }
    const healedSlots = found.filter((slot) => !readable.has(slot)).length;
    if (healedSlots === 0 && found.length < wanted.size) {
      // Another generation with only what can be read anyway would heal nothing.
      return untouched(pack, 'lost', { readable, wanted });
    }
    const name = nextGeneration(pack, [...here, ...there]);
    const key = packKey(name);
    const object = await packed(new PackDraft(vault.fetcher.packs, name), slots);
    await this.#write(key, object, signal);
    const now = { readable: new Set([...readable, ...found]), wanted };
    return written(pack, 'rewritten', { key, object, now, healedSlots });
  }

  async #write(key: ObjectKey, object: Uint8Array, signal: AbortSignal): Promise<void> {
    if (!this.#parts.apply) {
      return;
    }
    const sha256 = createHash('sha256').update(object).digest();
    await storeOf(this.#parts.vault).put(key, object, signal, { sha256 });
    // Checks that the store kept what it was sent, before anybody relies on it.
    const name = parsePackKey(key);
    const findings = name && (await new PackCheck(this.#parts.vault.fetcher).run(name, signal));
    if (findings === undefined || findings.why.length > 0) {
      throw new Fault(
        'vault.write-damaged',
        `${key} is not whole after it was written: ${findings?.why.join(' ') ?? ''} Test this machine and the store, then repair again.`,
        { key },
      );
    }
  }
}

function storeOf({ fetcher }: GenerationSource): ObjectStore {
  return fetcher.packs.base.store;
}

/** Whether this generation alone has all of these slots and nothing is wrong with it. */
function isWhole({ findings }: Generation, wanted: ReadonlySet<number>): boolean {
  return findings.why.length === 0 && isSubset(wanted, readableSlots([{ findings }]));
}

function nextGeneration(pack: PackId, all: readonly Generation[]): PackName {
  const last = Math.max(...all.map(({ name }) => name.generation));
  return { ...pack, generation: generationAfter(last), rand: randomSuffix() };
}

/** Packs the slots that have content under their own numbers; the others become missing slots. */
async function packed(
  draft: PackDraft,
  slots: ReadonlyMap<number, SalvagedSlot>,
): Promise<Uint8Array> {
  const count = Math.max(...slots.keys()) + 1;
  for (let number = 0; number < count; number++) {
    const slot = slots.get(number);
    if (slot?.content === undefined) {
      draft.skip(1);
      continue;
    }
    const { frames } = draft;
    draft.add(slot, slot.content);
    if (draft.frames > frames) {
      // A frame was compressed: lets other work run.
      await setImmediate();
    }
  }
  return draft.finish().object;
}

/** Result if nothing is written. */
function untouched({ ulid }: PackId, outcome: 'whole' | 'lost', slots: Slots): Repaired {
  return { pack: ulid, outcome, bytes: 0, healedSlots: 0, lostSlots: lostOf(slots), ...slots };
}

/** Result if no place has the content of any slot. */
function lostWhole(pack: PackId, slots: Slots): Repaired {
  return { ...untouched(pack, 'lost', slots), lostSlots: 'all' };
}

/** Result if an object is written, or would be. */
function written(
  { ulid }: PackId,
  outcome: 'copied' | 'rewritten',
  {
    key,
    object,
    now,
    healedSlots,
  }: Pick<PackRepair, 'healedSlots'> & {
    readonly key: ObjectKey;
    readonly object: Uint8Array;
    readonly now: Slots;
  },
): Repaired {
  const { length: bytes } = object;
  return { pack: ulid, outcome, key, bytes, healedSlots, lostSlots: lostOf(now), ...now };
}

function lostOf({ readable, wanted }: Slots): number {
  return [...wanted].filter((slot) => !readable.has(slot)).length;
}
