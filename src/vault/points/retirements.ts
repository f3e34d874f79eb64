import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import { z } from 'zod';
import { Fault, isFault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { decodeControl, encodeControl } from '../control/control-object.ts';
import {
  parseRetireKey,
  parseRetireRequestKey,
  PREFIXES,
  retireKey,
  retireRequestKey,
} from '../format/object-names.ts';
import { getOrDamage } from '../format/object-limit.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import type { Signer } from '../keys/retention-key.ts';
import { decodeSigned, encodeSigned, openSigned } from '../control/signed-object.ts';
import type { Ulid } from '../bytes/ulid.ts';

const OBJECTS_AT_ONCE = 16;
const RetireBody = z.object({ point: z.string(), atMs: z.int().min(0) });
const RetiredList = z.record(z.string(), z.array(z.string()));

export interface PointName {
  readonly vmId: string;
  readonly id: Ulid;
}

/**
 * Whether a point counts. `doubtful`: no holder of the retention key wrote the object in place of
 * its retire object. Such a point is shown and kept alive, and nothing is built on it.
 */
export type Standing = 'stands' | 'doubtful' | 'retired';

/** Knows which recovery points were given up: docs/vault-format.md, section 5. */
export class Retirements {
  readonly #base: Pick<VaultBase, 'store' | 'keys'>;
  readonly #log: Log;
  /** Keys of objects that were read and proven. Objects never change. */
  readonly #binding = new Set<ObjectKey>();
  #confirmed: Promise<ReadonlySet<ObjectKey>> | undefined;

  constructor(base: Pick<VaultBase, 'store' | 'keys'>, log: Log) {
    this.#base = base;
    this.#log = log;
  }

  async standing({ vmId, id }: PointName, signal: AbortSignal): Promise<Standing> {
    const key = retireKey(vmId, id);
    if (this.#binding.has(key)) {
      return 'retired';
    }
    const object = await getOrDamage(this.#base.store, key, signal);
    if (object === undefined) {
      return 'stands';
    }
    if (isFault(object)) {
      this.#ignore(key, object);
      return 'doubtful';
    }
    if (!(await this.#isBinding(key, object, signal))) {
      return 'doubtful';
    }
    this.#binding.add(key);
    return 'retired';
  }

  /**
   * Returns the ids of all retired points, of one VM or of all, after listing `retire/` to its end.
   */
  async all(signal: AbortSignal, vmId?: string): Promise<Set<Ulid>> {
    return new Set((await this.names(signal, vmId)).map(({ id }) => id));
  }

  async names(signal: AbortSignal, vmId?: string): Promise<PointName[]> {
    const names = (await this.#listed(parseRetireKey, signal, vmId)).map(({ name }) => name);
    const standings = await mapAtOnce(names, OBJECTS_AT_ONCE, async (name) =>
      this.standing(name, signal),
    );
    return names.filter((_, index) => standings[index] === 'retired');
  }

  /** Gives a point up for good. @throws Fault `vault.retention-key-missing` */
  async retire({ vmId, id }: PointName, atMs: number, signal: AbortSignal): Promise<void> {
    if ((await this.standing({ vmId, id }, signal)) === 'retired') {
      return;
    }
    const key = retireKey(vmId, id);
    const object = encodeSigned(this.#base.keys, 'retire', key, bodyOf(id, atMs));
    await this.#base.store.put(key, object, signal);
    this.#binding.add(key);
  }

  /**
   * Asks the holders of the retention key to retire a point that the caller wrote and will never
   * seal.
   */
  async ask({ vmId, id }: PointName, atMs: number, signal: AbortSignal): Promise<void> {
    const key = retireRequestKey(vmId, id);
    const object = encodeControl(this.#base.keys, 'retire-request', key, bodyOf(id, atMs));
    await this.#base.store.put(key, object, signal);
  }

  /** Whether somebody with the right to do so asked to retire the point. */
  async isAsked({ vmId, id }: PointName, signal: AbortSignal): Promise<boolean> {
    const key = retireRequestKey(vmId, id);
    const object = await getOrDamage(this.#base.store, key, signal);
    return object !== undefined && !isFault(object) && this.#isRequest(key, object);
  }

  /** Returns points with a genuine request to retire them that are not retired. */
  async asked(signal: AbortSignal): Promise<PointName[]> {
    const asked: PointName[] = [];
    for (const { key, name } of await this.#listed(parseRetireRequestKey, signal)) {
      if ((await this.standing(name, signal)) === 'retired') {
        continue;
      }
      const object = await getOrDamage(this.#base.store, key, signal);
      if (object !== undefined && !isFault(object) && this.#isRequest(key, object)) {
        asked.push(name);
      }
    }
    return asked;
  }

  async #listed(
    parse: (key: ObjectKey) => PointName | undefined,
    signal: AbortSignal,
    vmId?: string,
  ): Promise<{ key: ObjectKey; name: PointName }[]> {
    const prefix = vmId === undefined ? PREFIXES.retired : `${PREFIXES.retired}${vmId}/`;
    const names: { key: ObjectKey; name: PointName }[] = [];
    for await (const { key } of this.#base.store.list(prefix, signal)) {
      const name = parse(key);
      if (name !== undefined) {
        names.push({ key, name });
      }
    }
    return names;
  }

  async #isBinding(key: ObjectKey, object: Uint8Array, signal: AbortSignal): Promise<boolean> {
    let signer: Signer;
    try {
      signer = readRetirement(this.#base, key, object);
    } catch (error) {
      this.#ignore(key, error);
      return false;
    }
    if (signer === 'current') {
      return true;
    }
    this.#confirmed ??= this.#readConfirmed(signal);
    const isConfirmed = (await this.#confirmed).has(key);
    if (!isConfirmed) {
      // A key that was replaced before signed it, and its holder may no longer give points up.
      this.#log.warn('vault.retire-object-ignored', { key, code: 'signed-by-earlier-key' });
    }
    return isConfirmed;
  }

  #isRequest(key: ObjectKey, object: Uint8Array): boolean {
    try {
      readRequest(this.#base, key, object);
      return true;
    } catch (error) {
      this.#ignore(key, error);
      return false;
    }
  }

  /** Ignores and reports the object: only a key holder can retire a point. */
  #ignore(key: ObjectKey, error: unknown): void {
    if (!isFault(error)) {
      throw error;
    }
    this.#log.warn('vault.retire-object-ignored', { key, code: error.code });
  }

  async #readConfirmed(signal: AbortSignal): Promise<ReadonlySet<ObjectKey>> {
    const key = this.#base.keys.retention.confirmed;
    if (key === undefined) {
      return new Set();
    }
    try {
      const object = await this.#base.store.get(key, signal);
      if (object === undefined) {
        throw invalid(key, 'is gone');
      }
      return new Set(readRetired(this.#base, key, object));
    } catch (error) {
      this.#confirmed = undefined;
      throw error;
    }
  }
}

type Secrets = Pick<VaultBase, 'keys'>;

/**
 * Reads a retire object and checks that it says what its name says. If an earlier key signed it, it
 * counts only if it is confirmed.
 * @throws Fault `vault.control-corrupt`, `vault.format-newer`
 */
export function readRetirement({ keys }: Secrets, key: ObjectKey, object: Uint8Array): Signer {
  const { body, signer } = openSigned(keys, 'retire', key, object);
  requireBody(key, parseRetireKey(key)?.id, body);
  return signer;
}

/** @throws Fault `vault.control-corrupt`, `vault.format-newer` */
export function readRequest({ keys }: Secrets, key: ObjectKey, object: Uint8Array): void {
  const body = decodeControl(keys, 'retire-request', key, object);
  requireBody(key, parseRetireRequestKey(key)?.id, body);
}

/** @throws Fault `vault.control-corrupt`, `vault.format-newer` */
export function readRetired({ keys }: Secrets, key: ObjectKey, object: Uint8Array): ObjectKey[] {
  return decodeRetired(key, decodeSigned(keys, 'retired-list', key, object));
}

/**
 * Encodes the points that were retired when the retention key was replaced: the body of the list in
 * `fmt/`.
 */
export function encodeRetired(points: readonly PointName[]): Buffer {
  const list = Map.groupBy(points, ({ vmId }) => vmId);
  const ids = [...list].map(([vmId, some]) => [vmId, some.map(({ id }) => id)]);
  return Buffer.from(JSON.stringify(Object.fromEntries(ids)));
}

function decodeRetired(key: ObjectKey, body: Buffer): ObjectKey[] {
  const parsed = RetiredList.safeParse(parseJson(key, body));
  if (!parsed.success) {
    throw invalid(key, 'has another form');
  }
  return Object.entries(parsed.data).flatMap(([vmId, ids]) => ids.map((id) => retireKey(vmId, id)));
}

function bodyOf(id: Ulid, atMs: number): Buffer {
  return Buffer.from(JSON.stringify({ point: id, atMs }));
}

function requireBody(key: ObjectKey, id: Ulid | undefined, body: Buffer): void {
  const parsed = RetireBody.safeParse(parseJson(key, body));
  if (!parsed.success || parsed.data.point !== id) {
    throw invalid(key, 'is of another point');
  }
}

function parseJson(key: ObjectKey, body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    // What V8 says about it does not help.
    throw invalid(key, 'is no JSON');
  }
}

function invalid(key: ObjectKey, why: string): Fault {
  return new Fault('vault.control-corrupt', `The object ${key} ${why}.`, { key });
}
