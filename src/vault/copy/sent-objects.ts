import type { ObjectKey } from '../store/object-store.ts';
import type { Running } from '../../kernel/progress.ts';
import type { CopyAmount } from './copy-report.ts';
import type { ObjectSender, Sent } from './object-sender.ts';
import type { PairedEntry } from './paired-listing.ts';

const DAMAGED_NAMED_MAX = 100;

/** Sends objects, and counts what was sent and what is not as it should be. */
export class SentObjects {
  readonly #sender: ObjectSender;
  readonly #damaged = new Set<ObjectKey>();
  #amount = { objects: 0, bytes: 0 };
  #totalBytes = 0;

  constructor(sender: ObjectSender) {
    this.#sender = sender;
  }

  get amount(): CopyAmount {
    return { ...this.#amount };
  }

  /** At most 100. */
  get damaged(): readonly ObjectKey[] {
    return [...this.#damaged];
  }

  /** Adds to the total that progress reports show. */
  expect(bytes: number): void {
    this.#totalBytes = bytes;
  }

  async send(
    { key, sourceBytes: size = 0, targetBytes }: PairedEntry,
    { signal, report }: Running,
  ): Promise<Sent> {
    signal.throwIfAborted();
    const sent = await this.#sender.send({ key, size }, targetBytes !== undefined, signal);
    if (sent === 'vanished') {
      return sent;
    }
    if (sent !== 'whole') {
      this.noteDamage([key]);
    }
    if (sent !== 'kept') {
      const { objects, bytes } = this.#amount;
      this.#amount = { objects: objects + 1, bytes: bytes + size };
    }
    this.#totalBytes = Math.max(this.#totalBytes, this.#amount.bytes);
    report?.({ phase: 'copying', doneBytes: this.#amount.bytes, totalBytes: this.#totalBytes });
    return sent;
  }

  noteDamage(keys: Iterable<ObjectKey>): void {
    for (const key of keys) {
      if (this.#damaged.size < DAMAGED_NAMED_MAX) {
        this.#damaged.add(key);
      }
    }
  }
}
