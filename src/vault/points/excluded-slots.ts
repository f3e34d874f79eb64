import { Fault, isFault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { decodeControl, parseControlBody } from '../control/control-object.ts';
import type { FooterCache } from '../packs/footer-cache.ts';
import { PREFIXES } from '../format/object-names.ts';
import { getOrDamage } from '../format/object-limit.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import { SlotSet, SlotUnion, type SlotLookup } from '../slots/slot-set.ts';

/**
 * W0.b: slots that must not be deduplicated against: those found damaged, and those that a
 * collector condemned, even if it spared them later. Each object is read once: they never change
 * and never go.
 */
export class ExcludedSlots {
  readonly #base: VaultBase;
  readonly #log: Log;
  readonly #cache: FooterCache | undefined;
  readonly #seen = new Set<ObjectKey>();
  readonly condemned = new SlotSet();
  readonly #damaged = new SlotSet();
  readonly all: SlotLookup = new SlotUnion(this.condemned, this.#damaged);
  /** Whether `bad/` holds anything. */
  hasDamage = false;

  /** @param cache keeps what was read: a vault collected for years has hundreds of lists */
  constructor(base: VaultBase, log: Log, cache?: FooterCache) {
    this.#base = base;
    this.#log = log;
    this.#cache = cache;
  }

  /**
   * Reads what is new under `gc/`. @returns the slots that were not known to be condemned before
   */
  async readCondemned(signal: AbortSignal): Promise<SlotSet> {
    return this.#read('condemned', this.condemned, signal);
  }

  /** Reads what is new under `bad/`. */
  async readDamaged(signal: AbortSignal): Promise<SlotSet> {
    return this.#read('bad', this.#damaged, signal);
  }

  /**
   * @returns what is new; it may be `known` itself if that was empty, because a copy would be large
   */
  async #read(kind: 'condemned' | 'bad', known: SlotSet, signal: AbortSignal): Promise<SlotSet> {
    const fresh = known.isEmpty ? known : new SlotSet();
    const prefix = kind === 'condemned' ? PREFIXES.condemned : PREFIXES.damaged;
    const keys: ObjectKey[] = [];
    for await (const { key } of this.#base.store.list(prefix, signal)) {
      this.hasDamage ||= kind === 'bad';
      if (!this.#seen.has(key) && !key.endsWith('.done')) {
        fresh.addAll((await this.#kept(kind, key)) ?? (await this.#fetch(kind, key, signal)));
        keys.push(key);
      }
    }
    if (fresh !== known) {
      known.addAll(fresh);
    }
    for (const key of keys) {
      this.#seen.add(key);
    }
    return fresh;
  }

  async #kept(kind: 'condemned' | 'bad', key: ObjectKey): Promise<SlotSet | undefined> {
    const object = await this.#cache?.getList(key);
    try {
      return object && decodeSlotSet(this.#base, kind, key, object);
    } catch (error) {
      if (isFault(error, 'vault.control-corrupt')) {
        // A damaged list in the cache is fetched again.
        return undefined;
      }
      throw error;
    }
  }

  async #fetch(kind: 'condemned' | 'bad', key: ObjectKey, signal: AbortSignal): Promise<SlotSet> {
    const object = await getOrDamage(this.#base.store, key, signal);
    if (object === undefined) {
      throw gone(key);
    }
    if (isFault(object)) {
      return this.#decode(kind, key, object);
    }
    const slots = this.#decode(kind, key, object);
    await this.#cache?.putList(key, object);
    return slots;
  }

  #decode(kind: 'condemned' | 'bad', key: ObjectKey, object: Uint8Array | Fault): SlotSet {
    try {
      if (isFault(object)) {
        throw object;
      }
      return decodeSlotSet(this.#base, kind, key, object);
    } catch (error) {
      if (kind === 'bad' && isFault(error, 'vault.control-corrupt')) {
        // A damaged list protects nothing; deduplication goes on without it.
        this.#log.warn('vault.damage-list-ignored', { key });
        return new SlotSet();
      }
      throw error;
    }
  }
}

/** @throws Fault `vault.control-corrupt`, `vault.format-newer` */
export function decodeSlotSet(
  base: Pick<VaultBase, 'keys'>,
  kind: 'condemned' | 'bad' | 'done',
  key: ObjectKey,
  object: Uint8Array,
): SlotSet {
  const body = decodeControl(base.keys, kind, key, object);
  return parseControlBody(key, () => SlotSet.decode(body));
}

/** Fault for a list that must be there (G5.a) and is not. */
export function gone(key: ObjectKey): Fault {
  return new Fault(
    'vault.control-corrupt',
    `The object ${key} was listed and is gone, but lists of condemned slots are permanent. Nothing was written; look who removes objects from this vault.`,
    { key },
  );
}
