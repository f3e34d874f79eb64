import { Lru } from '../../kernel/memory/lru.ts';
import { Shared } from '../../kernel/waiting/shared.ts';
import { packKey, type PackName } from '../format/object-names.ts';
import type { FooterCache } from './footer-cache.ts';
import type { OpenPack } from './open-pack.ts';
import { missing } from './pack-faults.ts';
import type { PackReader } from './pack-reader.ts';
import type { PackEnd } from './pack-tail.ts';

/** Opens packs, keeps their footers in memory and in the cache of this machine. */
export class OpenPacks {
  readonly #reader: PackReader;
  readonly #cache: FooterCache | undefined;
  readonly #open: Lru<number, OpenPack>;
  readonly #opening = new Shared<number, OpenPack>();

  constructor(reader: PackReader, cache: FooterCache | undefined, footersBytesMax: number) {
    this.#reader = reader;
    this.#cache = cache;
    this.#open = new Lru(footersBytesMax);
  }

  /**
   * Opens a logical pack by its number.
   * @throws Fault `vault.pack-missing`, `vault.pack-corrupt`
   */
  async open(number: number, signal: AbortSignal): Promise<OpenPack> {
    return (
      this.#open.get(number) ??
      this.#opening.do(number, signal, async (reading) => this.#read(number, reading))
    );
  }

  /**
   * Opens an object that was just listed; uses what is cached of it, because objects never change.
   * @returns undefined if it is gone
   * @throws Fault `vault.pack-corrupt`
   */
  async openListed(name: PackName, signal: AbortSignal): Promise<OpenPack | undefined> {
    const cached = await this.#cached(name);
    if (cached !== undefined) {
      return cached;
    }
    const end = await this.#reader.end(name, signal);
    if (end === undefined) {
      return undefined;
    }
    const pack = this.#reader.decode(name, end);
    await this.#cacheEnd(name, end);
    return pack;
  }

  /** Learns a pack of this process whose PUT returned. */
  async learn(number: number, end: PackEnd): Promise<void> {
    const name = this.#reader.base.numbers.name(number);
    this.#keep(number, this.#reader.decode(name, end));
    await this.#cacheEnd(name, end);
  }

  /** Drops an object that is gone. */
  async forget({ name, objectKey }: Pick<OpenPack, 'name' | 'objectKey'>): Promise<void> {
    const number = this.#reader.base.numbers.find(name.ulid);
    if (number !== undefined) {
      this.#open.delete(number);
    }
    await this.#cache?.remove(objectKey);
  }

  async #read(number: number, signal: AbortSignal): Promise<OpenPack> {
    const { numbers } = this.#reader.base;
    const cached = await this.#cached(numbers.name(number));
    if (cached !== undefined) {
      this.#keep(number, cached);
      return cached;
    }
    const { name, end } = await this.#find(numbers.name(number), signal);
    const pack = this.#reader.decode(name, end);
    numbers.rename(number, name);
    this.#keep(number, pack);
    await this.#cacheEnd(name, end);
    return pack;
  }

  /** Reads the object with this name; if it is gone, the newest generation there is. */
  async #find(
    name: PackName,
    signal: AbortSignal,
  ): Promise<{ readonly name: PackName; readonly end: PackEnd }> {
    const end = await this.#reader.end(name, signal);
    if (end !== undefined) {
      return { name, end };
    }
    for (const other of await this.#reader.generations(name, signal)) {
      const otherEnd = await this.#reader.end(other, signal);
      if (otherEnd !== undefined) {
        return { name: other, end: otherEnd };
      }
    }
    throw missing(name);
  }

  async #cached(name: PackName): Promise<OpenPack | undefined> {
    const end = await this.#cache?.get(packKey(name));
    if (end === undefined) {
      return undefined;
    }
    try {
      return this.#reader.decode(name, end);
    } catch {
      // A damaged file in the cache counts as missing: the vault has the truth.
      await this.#cache?.remove(packKey(name));
      return undefined;
    }
  }

  #keep(number: number, pack: OpenPack): void {
    this.#open.set(number, pack, pack.footer.bytes + (pack.tail?.length ?? 0));
  }

  /** Caches the footer; of a metadata pack all that was read, which may hold the node wanted. */
  async #cacheEnd(name: PackName, end: PackEnd): Promise<void> {
    if (this.#cache !== undefined) {
      const { offset } = this.#reader.footerRange(name, end);
      const start = offset - (end.objectSize - end.tail.length);
      const tail = name.kind === 'metadata' ? end.tail : end.tail.subarray(start);
      await this.#cache.put(packKey(name), { objectSize: end.objectSize, tail });
    }
  }
}
