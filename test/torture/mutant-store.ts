import {
  ObjectStore,
  type ObjectEntry,
  type ObjectPart,
  type ObjectRange,
  type PutOptions,
} from '../../src/vault/store/object-store.ts';

/**
 * Mutants: steps of the protocol that do nothing, because the store repeats its earlier answer; and
 * `wrong-chunk`, where every pack has other content under the same ids, with valid tags, so that
 * only computing ids shows it.
 */
export const MUTANTS = ['no-w2', 'no-g2', 'no-retire-check', 'wrong-chunk'] as const;
export type Mutant = (typeof MUTANTS)[number];

/** Who is blinded. */
export const BLINDED = {
  'no-w2': 'writer',
  'no-g2': 'collector',
  'no-retire-check': 'writer',
  'wrong-chunk': 'nobody',
} as const satisfies Record<Mutant, string>;

/** What a second look must not see, per mutant. */
const STALE: Record<Mutant, RegExp | undefined> = {
  // W2.a.
  'no-w2': /^gc\//,
  // G2.a.
  'no-g2': /^(s|retire|hold)\/$/,
  // W3.b.
  'no-retire-check': undefined,
  'wrong-chunk': undefined,
};

/**
 * Hides from its client what happened since it first looked: a test that finds nothing with it
 * could not find anything.
 */
export class MutantStore extends ObjectStore {
  override readonly location: string;
  readonly #store: ObjectStore;
  readonly #mutant: Mutant;
  readonly #lists = new Map<string, ObjectEntry[]>();

  constructor(store: ObjectStore, mutant: Mutant) {
    super();
    this.#store = store;
    this.#mutant = mutant;
    this.location = store.location;
  }

  override makePlace(signal: AbortSignal): Promise<void> {
    return this.#store.makePlace(signal);
  }

  override put(
    key: string,
    data: Uint8Array,
    signal: AbortSignal,
    options?: PutOptions,
  ): Promise<void> {
    return this.#store.put(key, data, signal, options);
  }

  override async get(key: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#mutant === 'no-retire-check' && key.startsWith('retire/')
      ? undefined
      : this.#store.get(key, signal);
  }

  override getRange(
    key: string,
    range: ObjectRange,
    signal: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    return this.#store.getRange(key, range, signal);
  }

  override async *list(prefix: string, signal: AbortSignal): AsyncIterable<ObjectEntry> {
    if (STALE[this.#mutant]?.test(prefix) !== true) {
      yield* this.#store.list(prefix, signal);
      return;
    }
    const known =
      this.#lists.get(prefix) ?? (await Array.fromAsync(this.#store.list(prefix, signal)));
    this.#lists.set(prefix, known);
    yield* known;
  }

  override remove(key: string, signal: AbortSignal): Promise<void> {
    return this.#store.remove(key, signal);
  }

  override close(): Promise<void> {
    return this.#store.close();
  }
}
