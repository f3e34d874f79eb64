import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'minor' | 'major'; flavor?: 'last-resort' }) => void;

let collect: Collect | undefined;

/**
 * Collects dead objects now: `young` ones in 1 ms, or all of them in 3 ms and more. The engine
 * counts small objects and hardly what they hold: a buffer of 100 bytes may keep megabytes that
 * nobody needs. With `room`, in 50 to 100 ms, the engine also returns memory that it has no use for
 * now; otherwise it keeps what it once needed.
 */
export function collectGarbage(which: 'young' | 'all' | 'room'): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as Collect;
  }
  if (which === 'room') {
    collect({ type: 'major', flavor: 'last-resort' });
  } else {
    collect({ type: which === 'young' ? 'minor' : 'major' });
  }
}

/** Collects garbage at intervals in a loop that leaves buffers behind. */
export class GarbageRounds {
  readonly #young: number;
  readonly #all: number;
  readonly #room: number;
  #turns = 0;

  /** @param rounds turns between two collections of young objects, of all, and of room */
  constructor(rounds: { readonly young: number; readonly all: number; readonly room?: number }) {
    this.#young = rounds.young;
    this.#all = rounds.all;
    this.#room = rounds.room ?? Infinity;
  }

  turn(): void {
    this.#turns += 1;
    if (this.#turns % this.#room === 0) {
      collectGarbage('room');
    } else if (this.#turns % this.#all === 0) {
      collectGarbage('all');
    } else if (this.#turns % this.#young === 0) {
      collectGarbage('young');
    }
  }
}
