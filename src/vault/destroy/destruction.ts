import { Fault, isFault } from '../../kernel/fault.ts';
import type { Running } from '../../kernel/progress.ts';
import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import { claimedVault } from '../control/format-object.ts';
import { keyClassOf } from '../format/key-classes.ts';
import { parsePointKey, PREFIXES } from '../format/object-names.ts';
import { recordPrefix, RECORD_PREFIX } from '../format/record-names.ts';
import type { ObjectEntry, ObjectKey, ObjectStore } from '../store/object-store.ts';
import { hasMark, markService } from './destruction-mark.ts';

const REMOVALS_AT_ONCE = 16;
/** Somebody who does not know yet may still write. */
const ROUNDS_MAX = 3;
const FOREIGN_SHOWN = 5;

/**
 * In this order: without its format nobody opens the vault, without its seal no point counts. What
 * is content goes before what explains it, and the mark last of all.
 */
const ORDER: readonly string[] = [
  PREFIXES.format,
  PREFIXES.points,
  PREFIXES.metadata,
  PREFIXES.data,
  'x/',
  PREFIXES.aliases,
  PREFIXES.damaged,
  PREFIXES.condemned,
  PREFIXES.kept,
  PREFIXES.holds,
  PREFIXES.retired,
  PREFIXES.probes,
  PREFIXES.keys,
  RECORD_PREFIX,
];
/** A vault without these has no content. */
const CONTENT: readonly string[] = [PREFIXES.points, PREFIXES.metadata, PREFIXES.data];

export interface Amount {
  readonly objects: number;
  readonly bytes: number;
}

/** What lies at the place of a vault. */
export interface FoundObjects extends Amount {
  /** Sealed points. */
  readonly points: number;
  /** By the first part of the key. */
  readonly classes: Readonly<Record<string, Amount>>;
  /** What is of no vault and stays: how much, and the first names. */
  readonly foreign: Amount & { readonly names: readonly ObjectKey[] };
}

export interface DestructionReport {
  readonly removed: Amount;
  /** What these credentials may not remove, by the first part of the key. */
  readonly denied: Readonly<Record<string, Amount>>;
  readonly foreign: FoundObjects['foreign'];
  /** Whether no point and no pack is left. */
  readonly isEmpty: boolean;
}

/** Lists a place and says what is there. */
export async function findObjects(store: ObjectStore, signal: AbortSignal): Promise<FoundObjects> {
  const total = { objects: 0, bytes: 0 };
  const foreign = { objects: 0, bytes: 0, names: [] as ObjectKey[] };
  const classes: Record<string, { objects: number; bytes: number }> = {};
  let points = 0;
  for await (const { key, size } of store.list('', signal)) {
    const name = keyClassOf(key);
    if (name === undefined) {
      add(foreign, size);
      if (foreign.names.length < FOREIGN_SHOWN) {
        foreign.names.push(key);
      }
      continue;
    }
    add(total, size);
    add((classes[name] ??= { objects: 0, bytes: 0 }), size);
    points += parsePointKey(key)?.isSeal === true ? 1 : 0;
  }
  return { ...total, points, classes, foreign };
}

/**
 * Refuses a place that is not that of this vault, or not any more.
 * @throws Fault `vault.not-found`
 */
export async function requireThisVault(
  store: ObjectStore,
  vaultId: string,
  signal: AbortSignal,
): Promise<void> {
  let isThere = false;
  for await (const { key } of store.list(PREFIXES.format, signal)) {
    const object = keyClassOf(key) === undefined ? undefined : await store.get(key, signal);
    if (object !== undefined && !key.endsWith('.retired')) {
      isThere = true;
      if (claimedVault(key, object).vaultId.toString('hex') !== vaultId) {
        throw otherVault(store);
      }
    }
  }
  const { objects } = isThere ? { objects: 0 } : await findObjects(store, signal);
  if (objects > 0 && !(await hasMark(store, vaultId, signal))) {
    throw otherVault(store);
  }
}

function otherVault({ location }: ObjectStore): Fault {
  return new Fault(
    'vault.not-found',
    `What lies at ${location} is not the vault that was to be destroyed. Nothing was removed.`,
    { location },
  );
}

/**
 * Removes all objects of a vault, and nothing else. If it is stopped, the next run goes on. The
 * place must be proven (`requireThisVault`) and the mark written.
 */
export async function destroyObjects(
  store: ObjectStore,
  vaultId: string,
  running: Running,
): Promise<DestructionReport> {
  const work = new Destruction(store, recordPrefix(markService(vaultId)), running);
  const before = await findObjects(store, running.signal);
  work.expect(before.bytes);
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    for (const prefix of ORDER) {
      await work.remove(prefix);
    }
    const { objects } = await findObjects(store, running.signal);
    if (objects <= work.leftObjects) {
      break;
    }
  }
  if (Object.keys(work.denied).length === 0) {
    await work.removeMark();
  }
  const { classes, foreign } = await findObjects(store, running.signal);
  const isEmpty = CONTENT.every((prefix) => classes[prefix] === undefined);
  return { removed: work.removed, denied: work.denied, foreign, isEmpty };
}

class Destruction {
  readonly removed = { objects: 0, bytes: 0 };
  readonly #denied = new Map<string, { objects: number; bytes: number }>();
  readonly #store: ObjectStore;
  readonly #mark: string;
  readonly #running: Running;
  readonly #progress = { phase: 'removing', doneBytes: 0, totalBytes: 0 };
  #marks = 0;

  constructor(store: ObjectStore, mark: string, running: Running) {
    this.#store = store;
    this.#mark = mark;
    this.#running = running;
  }

  get denied(): Record<string, Amount> {
    return Object.fromEntries(this.#denied);
  }

  /** What is expected to be left: the mark, and what may not be removed. */
  get leftObjects(): number {
    return [...this.#denied.values()].reduce((sum, { objects }) => sum + objects, this.#marks);
  }

  expect(bytes: number): void {
    this.#progress.totalBytes = bytes;
  }

  async remove(prefix: string): Promise<void> {
    this.#denied.delete(prefix);
    const entries = await this.#entries(prefix);
    if (prefix === PREFIXES.points) {
      // A point without its seal does not count; a seal without its point would be damage.
      await this.#all(
        prefix,
        entries.filter(({ key }) => isSeal(key)),
      );
      await this.#all(
        prefix,
        entries.filter(({ key }) => !isSeal(key)),
      );
      return;
    }
    await this.#all(prefix, entries);
  }

  async removeMark(): Promise<void> {
    for await (const { key } of this.#store.list(this.#mark, this.#running.signal)) {
      await this.#store.remove(key, this.#running.signal);
    }
  }

  async #entries(prefix: string): Promise<ObjectEntry[]> {
    const entries: ObjectEntry[] = [];
    this.#marks = prefix === RECORD_PREFIX ? 0 : this.#marks;
    for await (const entry of this.#store.list(prefix, this.#running.signal)) {
      if (entry.key.startsWith(this.#mark)) {
        this.#marks += 1;
      } else if (keyClassOf(entry.key) === prefix) {
        entries.push(entry);
      }
    }
    return entries;
  }

  async #all(prefix: string, entries: readonly ObjectEntry[]): Promise<void> {
    await mapAtOnce(entries, REMOVALS_AT_ONCE, async ({ key, size }) => {
      if (await this.#one(prefix, key)) {
        add(this.removed, size);
        this.#progress.doneBytes += size;
      } else {
        const denied = this.#denied.get(prefix) ?? { objects: 0, bytes: 0 };
        this.#denied.set(prefix, denied);
        add(denied, size);
      }
      this.#running.report?.(this.#progress);
    });
  }

  async #one(prefix: string, key: ObjectKey): Promise<boolean> {
    if (this.#denied.has(prefix)) {
      // The rights are those of the prefix.
      return false;
    }
    try {
      await this.#store.remove(key, this.#running.signal);
      return true;
    } catch (error) {
      if (isFault(error, 'store.denied')) {
        return false;
      }
      throw error;
    }
  }
}

function isSeal(key: ObjectKey): boolean {
  return parsePointKey(key)?.isSeal === true;
}

function add(amount: { objects: number; bytes: number }, bytes: number): void {
  amount.objects += 1;
  amount.bytes += bytes;
}
