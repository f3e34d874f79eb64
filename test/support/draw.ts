import { createHash } from 'node:crypto';
import { seededNumbers } from './random/seeded-numbers.ts';

/** What Jest gives every module of a test. */
interface InJest {
  readonly jest?: { getSeed(): number };
}

/** All draws of a run follow from it: `npm test -- --seed N`. Jest prints it at the end. */
const RUN_SEED = (import.meta as InJest).jest?.getSeed() ?? 0;

/** `npm run soak -- drawn`: nothing is left out. */
const ALL = process.env['HYPERKEEP_DRAW'] === 'all';

/** The part that one test file tries of what is too much for every run. */
export class Draw {
  readonly seed: number;
  readonly number: (limit: number) => number;

  /** @param name of what is drawn: two draws of a run have nothing to do with each other. */
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

  /** So many of so many. */
  count(count: number, all: number): number {
    return ALL ? all : Math.min(count, all);
  }

  /** So many of them, none twice, in the order they have. */
  some<T>(all: readonly T[], count: number): T[] {
    const places = new Set(this.shuffled([...all.keys()]).slice(0, this.count(count, all.length)));
    return all.filter((_, place) => places.has(place));
  }
}
