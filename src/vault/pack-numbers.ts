import assert from 'node:assert/strict';
import { Fault } from '../kernel/fault.ts';
import type { PackName } from './layout.ts';

/** As many packs as one process can tell apart: 64 TiB of full packs. */
const PACKS_MAX = 2 ** 20;

/** States of a pack in `PackNumbers.states`; anything from SESSION_FIRST is the session that is writing it. */
export const PACK_UNUSABLE = 0;
export const PACK_USABLE = 1;
const SESSION_FIRST = 2;

/**
 * Small numbers for logical packs, so that tables shared with worker threads hold numbers and not
 * names. Numbers live as long as the process.
 */
export class PackNumbers {
  /** Per pack, whether its chunks may be deduplicated against. Shared with workers. */
  readonly states = new Int32Array(new SharedArrayBuffer(PACKS_MAX * 4));
  readonly #names: PackName[] = [];
  readonly #numbers = new Map<string, number>();
  #sessions = SESSION_FIRST;

  /** The number of a logical pack. Of two generations the higher name is kept. */
  of(name: PackName): number {
    const known = this.#numbers.get(name.ulid);
    if (known !== undefined) {
      const kept = this.name(known);
      if (name.kind === kept.kind && name.generation > kept.generation) {
        this.#names[known] = name;
      }
      return known;
    }
    const number = this.#names.length;
    if (number >= PACKS_MAX) {
      throw new Fault(
        'vault.pack-corrupt',
        `There are more than ${PACKS_MAX} packs in this vault.`,
      );
    }
    this.#names.push(name);
    this.#numbers.set(name.ulid, number);
    return number;
  }

  find(ulid: string): number | undefined {
    return this.#numbers.get(ulid);
  }

  name(number: number): PackName {
    const name = this.#names[number];
    assert(name !== undefined, 'unknown pack number');
    return name;
  }

  /** Another generation took the place of the known one. */
  rename(number: number, name: PackName): void {
    assert(this.name(number).ulid === name.ulid);
    this.#names[number] = name;
  }

  setState(number: number, state: number): void {
    Atomics.store(this.states, number, state);
  }

  state(number: number): number {
    return Atomics.load(this.states, number);
  }

  newSession(): number {
    return this.#sessions++;
  }
}
