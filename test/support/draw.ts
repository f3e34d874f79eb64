import { createHash } from 'node:crypto';
import { seededNumbers } from './random/seeded-numbers.ts';

/** What Jest gives every module of a test. */
interface InJest {
  readonly jest?: { getSeed(): number };
}

/** Every draw of a run follows from it: `npm test -- --seed N`. Jest prints it at the end. */
const RUN_SEED = (import.meta as InJest).jest?.getSeed() ?? 0;

/** `npm run soak -- drawn`: nothing is left out. */
const ALL = process.env['HYPERKEEP_DRAW'] === 'all';

/** Chooses the part that one test file tries of what would take too long in every run. */
export class Draw {
  readonly seed: number;
  readonly number: (limit: number) => number;

  /** @param name what is drawn: two draws of a run are independent */
  constructor(name: string) {
    const hash = createHash('sha256')
      .update(`${String(RUN_SEED)} ${name}`)
      .digest();
    this.seed = hash.readUInt32LE() >>> 1;
    this.number = seededNumbers(this.seed);
  }

  shuffled<T>(all: readonly T[]): T[] {
    const left = [...all];
    return all.flatMap(() => left.splice(this.number(left.length), 1));
  }

  /** Returns how many to try of `all`. */
  count(count: number, all: number): number {
    return ALL ? all : Math.min(count, all);
  }

  /** Returns this many of them, none twice, in their order. */
  some<T>(all: readonly T[], count: number): T[] {
    const places = new Set(this.shuffled([...all.keys()]).slice(0, this.count(count, all.length)));
    return all.filter((_, place) => places.has(place));
  }
}
