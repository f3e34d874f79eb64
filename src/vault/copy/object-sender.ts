import { createHash } from 'node:crypto';
import { Fault } from '../../kernel/fault.ts';
import type { RateLimiter } from '../../kernel/rates/rate-limiter.ts';
import { parsePackKey } from '../format/object-names.ts';
import { objectBytesMax } from '../format/object-limit.ts';
import type { ObjectEntry, ObjectKey, ObjectStore } from '../store/object-store.ts';
import { packDamage } from './keyless-pack-check.ts';

/** How much is read at once while a rate is kept. */
export const LIMITED_BYTES = 4 * 1024 * 1024;

export interface SenderParts {
  readonly source: ObjectStore;
  readonly target: ObjectStore;
  /** Limits what is read from the source. */
  readonly limiter?: RateLimiter | undefined;
  /** Reads every object back from the target after it was put. */
  readonly readBack: boolean;
}

/**
 * `damaged`: sent as it is, but the source's object does not match its checksums. `kept`: not sent,
 * because it is larger than any object of its kind, or because the target has another object of
 * that name and nothing shows that the source's is right.
 */
export type Sent = 'whole' | 'damaged' | 'kept' | 'vanished';

/** Copies single objects from one store to the other; holds each in memory meanwhile. */
export class ObjectSender {
  readonly #parts: SenderParts;

  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  /**
   * @param exists whether the target has the key, with another size
   * @throws Fault `copy.wrong-object`, `store.hash-mismatch` and what the stores throw
   */
  async send({ key, size }: ObjectEntry, exists: boolean, signal: AbortSignal): Promise<Sent> {
    if (size > objectBytesMax(key) || (exists && parsePackKey(key) === undefined)) {
      return 'kept';
    }
    const { data, damage } = await this.#readWhole({ key, size }, signal);
    if (data === undefined) {
      return 'vanished';
    }
    if (exists && damage !== undefined) {
      return 'kept';
    }
    const { target } = this.#parts;
    const sha256 = target.wantsHash ? createHash('sha256').update(data).digest() : undefined;
    await target.put(key, data, signal, sha256 === undefined ? {} : { sha256 });
    if (this.#parts.readBack) {
      await this.#compare(key, data, signal);
    }
    return damage === undefined ? 'whole' : 'damaged';
  }

  /**
   * Reads an object and says what is wrong with it. Reads a damaged one again: the transfer may
   * have damaged it.
   */
  async #readWhole(
    { key, size }: ObjectEntry,
    signal: AbortSignal,
  ): Promise<{ data?: Uint8Array; damage?: string }> {
    const first = await this.#read(key, size, signal);
    if (first === undefined || damageOf(key, first) === undefined) {
      return first === undefined ? {} : { data: first };
    }
    const data = await this.#read(key, size, signal);
    const damage = data && damageOf(key, data);
    return { ...(data && { data }), ...(damage !== undefined && { damage }) };
  }

  /** Reads at most as much as was listed: a store tells an object's length before its content. */
  async #read(key: ObjectKey, size: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { limiter } = this.#parts;
    if (limiter === undefined || size <= LIMITED_BYTES) {
      await limiter?.take(size, signal);
      return this.#range(key, { offset: 0, length: size, size }, signal);
    }
    const whole = Buffer.alloc(size);
    for (let offset = 0; offset < size; offset += LIMITED_BYTES) {
      const length = Math.min(LIMITED_BYTES, size - offset);
      await limiter.take(length, signal);
      const part = await this.#range(key, { offset, length, size }, signal);
      if (part === undefined) {
        return undefined;
      }
      whole.set(part, offset);
    }
    return whole;
  }

  async #range(
    key: ObjectKey,
    { offset, length, size }: { offset: number; length: number; size: number },
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const part = await this.#parts.source.getRange(key, { offset, length }, signal);
    if (part !== undefined && (part.objectSize !== size || part.data.length !== length)) {
      throw wrong(key, `it was listed with ${size} bytes and has ${part.objectSize}`);
    }
    return part?.data;
  }

  async #compare(key: ObjectKey, data: Uint8Array, signal: AbortSignal): Promise<void> {
    const range = { offset: 0, length: data.length };
    const back = await this.#parts.target.getRange(key, range, signal);
    if (back?.objectSize !== data.length || Buffer.compare(back.data, data) !== 0) {
      throw notKept(key, this.#parts.target);
    }
  }
}

/** The target does not have what it was sent. */
export function notKept(key: ObjectKey, { location }: ObjectStore): Fault {
  return new Fault(
    'store.hash-mismatch',
    `${key} did not come back from ${location} as it was sent. Test that storage before it holds a copy.`,
    { key },
  );
}

function damageOf(key: ObjectKey, data: Uint8Array): string | undefined {
  return parsePackKey(key) === undefined ? undefined : packDamage(key, data);
}

function wrong(key: ObjectKey, why: string): Fault {
  return new Fault(
    'copy.wrong-object',
    `The object ${key} of the source is not what it should be: ${why}. It was not copied; look who else writes there.`,
    { key },
  );
}
