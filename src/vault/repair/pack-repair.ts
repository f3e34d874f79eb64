import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { Fault, isFault } from '../../kernel/fault.ts';
import type { FrameFetcher } from '../tasks/frame-fetcher.ts';
import { sameBytes } from '../keys/key-tree.ts';
import {
  generationAfter,
  packKey,
  parsePackKey,
  randomSuffix,
  type PackName,
} from '../format/object-names.ts';
import { getOrDamage } from '../format/object-limit.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { PackDraft } from '../packs/pack-draft.ts';
import { PackCheck } from '../proof/pack-check.ts';
import type { Ulid } from '../bytes/ulid.ts';
import {
  generations,
  isSubset,
  lostEverywhere,
  readableSlots,
  wantedSlots,
  type Generation,
  type PackId,
  type PackPlace,
} from '../proof/pack-generations.ts';
import { salvagePack, type SalvagedSlot } from './salvage.ts';

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

/** `wanted` are the slots known to have been in the pack. */
interface Repaired extends PackRepair {
  readonly wanted: ReadonlySet<number>;
}

export interface PackRepairParts {
  readonly vault: PackPlace;
  readonly copy?: PackPlace;
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
    const isWhole = lostSlots === 0 && repair.outcome === 'lost';
    return { ...repair, lostSlots, ...(isWhole ? { outcome: 'whole' } : {}) };
  }

  async #repair(pack: PackId, signal: AbortSignal): Promise<Repaired> {
    const { vault, copy } = this.#parts;
    const here = await generations(vault, pack, signal);
    const there = copy === undefined ? [] : await generations(copy, pack, signal);
    const readable = readableSlots(here);
    const wanted = wantedSlots([...here, ...there]);
    const isClean = here.some(
      ({ findings }) =>
        findings.why.length === 0 && isSubset(wanted, readableSlots([{ findings }])),
    );
    if (isClean && wanted.size > 0) {
      return { pack: pack.ulid, outcome: 'whole', ...done(0, readable, wanted), wanted };
    }
    const whole = there.find(({ findings }) => findings.why.length === 0);
    if (here.length === 0 && whole !== undefined && copy !== undefined) {
      return this.#copy(copy, whole, signal);
    }
    return this.#rewrite(pack, { here, there, readable }, signal);
  }

  /** Copies an object that is missing here and whole there, under the same key. */
  async #copy(
    copy: PackPlace,
    { name, findings }: Generation,
    signal: AbortSignal,
  ): Promise<Repaired> {
    const key = packKey(name);
    const slots = readableSlots([{ findings }]);
    const object = await storeOf(copy).get(key, signal);
    if (object === undefined) {
      return {
        pack: name.ulid,
        outcome: 'lost',
        bytes: 0,
        healedSlots: 0,
        lostSlots: 'all',
        readable: new Set(),
        wanted: slots,
      };
    }
    if (this.#parts.apply) {
      await this.#put(key, object, signal);
    }
    const { length } = object;
    return {
      pack: name.ulid,
      outcome: 'copied',
      key,
      ...done(length, slots, slots),
      healedSlots: slots.size,
      wanted: slots,
    };
  }

  async #rewrite(
    pack: PackId,
    {
      here,
      there,
      readable,
    }: {
      readonly here: readonly Generation[];
      readonly there: readonly Generation[];
      readonly readable: ReadonlySet<number>;
    },
    signal: AbortSignal,
  ): Promise<Repaired> {
    const { vault, copy, apply } = this.#parts;
    const slots = new Map<number, SalvagedSlot>();
    await gather(vault, here, slots, signal);
    if (copy !== undefined) {
      await gather(copy, there, slots, signal);
    }
    const found = new Set(
      [...slots].filter(([, { content }]) => content !== undefined).map(([slot]) => slot),
    );
    const wanted = new Set([...slots].filter(([, { size }]) => size > 0).map(([slot]) => slot));
    if (wanted.size === 0 || found.size === 0) {
      return {
        pack: pack.ulid,
        outcome: 'lost',
        bytes: 0,
        healedSlots: 0,
        lostSlots: 'all',
        readable,
        wanted,
      };
    }
    const gained = [...found].filter((slot) => !readable.has(slot)).length;
    if (gained === 0 && found.size < wanted.size) {
      // Another generation with only what can be read anyway would heal nothing.
      return { pack: pack.ulid, outcome: 'lost', ...done(0, readable, wanted), wanted };
    }
    const last = Math.max(...[...here, ...there].map(({ name }) => name.generation));
    const name: PackName = { ...pack, generation: generationAfter(last), rand: randomSuffix() };
    const count = Math.max(...slots.keys()) + 1;
    const draft = new PackDraft(vault.fetcher.packs, name);
    for (let number = 0; number < count; number++) {
      const slot = slots.get(number);
      if (slot?.content === undefined) {
        draft.skip(1);
      } else {
        const { frames } = draft;
        draft.add(slot, slot.content);
        if (draft.frames > frames) {
          // A frame was compressed: lets other work run.
          await setImmediate();
        }
      }
    }
    const { object } = draft.finish();
    const key = packKey(name);
    if (apply) {
      await this.#put(key, object, signal);
    }
    const now = new Set([...readable, ...found]);
    return {
      pack: pack.ulid,
      outcome: 'rewritten',
      key,
      ...done(object.length, now, wanted),
      healedSlots: gained,
      wanted,
    };
  }

  async #put(key: ObjectKey, object: Uint8Array, signal: AbortSignal): Promise<void> {
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

function storeOf({ fetcher }: PackPlace): ObjectStore {
  return fetcher.packs.base.store;
}

function done(
  bytes: number,
  readable: ReadonlySet<number>,
  wanted: ReadonlySet<number>,
): Pick<PackRepair, 'bytes' | 'healedSlots' | 'lostSlots' | 'readable'> {
  const lostSlots = [...wanted].filter((slot) => !readable.has(slot)).length;
  return { bytes, healedSlots: 0, lostSlots, readable };
}

/** Adds the slots that can be read in these generations and are not there yet. */
async function gather(
  { fetcher, cache }: PackPlace,
  all: readonly Generation[],
  slots: Map<number, SalvagedSlot>,
  signal: AbortSignal,
): Promise<void> {
  for (const { name } of all) {
    const object = await getOrDamage(fetcher.packs.base.store, packKey(name), signal);
    if (object === undefined || isFault(object)) {
      continue;
    }
    const salvage = await salvagePack(fetcher.packs, name, object, cache);
    for (const [slot, salvaged] of salvage.slots.entries()) {
      if (salvaged.size > 0 && slots.get(slot)?.content === undefined) {
        // Content that decrypts but does not match its id does not help.
        const isRemedy = await hasId(fetcher, name, salvaged);
        slots.set(slot, isRemedy ? salvaged : { ...salvaged, content: undefined });
      }
    }
  }
}

/** Whether the content of a slot matches its id, if this machine can tell. */
async function hasId(
  { packs, pool, ids }: FrameFetcher,
  { kind }: PackName,
  { id, content }: SalvagedSlot,
): Promise<boolean> {
  if (content === undefined) {
    return false;
  }
  if (kind === 'metadata') {
    return sameBytes(packs.base.keys.mac16('map', content), id);
  }
  const { length } = content;
  const bytes = Uint8Array.from(content);
  const expected = [{ offset: 0, length, id: Uint8Array.from(id) }];
  const wrong = await ids.run(async (withIds) =>
    withIds ? pool.run({ kind: 'compare', bytes, expected }) : [],
  );
  return wrong.length === 0;
}
