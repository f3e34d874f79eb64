import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { MemoryObjectStore } from '../vault/memory-object-store.ts';
import type { KillJob, Remains } from './kill-job.ts';
import {
  copyObjects,
  entriesOf,
  type KillLab,
  type KillPlace,
  type KillPoint,
  type Program,
  type Ran,
} from './kill-lab.ts';
import type { GateRequest } from '../s3/s3-gate.ts';
import { openVault, signal } from '../vault/vault-lab.ts';

/**
 * Everything that a vault consists of, without `x/`, `cat/` and whatever else a program might
 * leave.
 */
const PROTOCOL = /^(?:fmt|keys|d|m|s|retire|gc|bad|alias|hold|keep|probe)\//;
const CHANGES = /^(?:PUT|DELETE|LOCK) /;

export interface Trial {
  /** How much of what the job sends was sent again, in the job's unit. */
  readonly twice: number;
  readonly provenPoints: number;
}

/** Kills a job at one request after another, and examines the result. */
export class KillTrials {
  readonly job: KillJob;
  /** Before each request of an undisturbed run, and after each that changes something. */
  readonly points: readonly KillPoint[];
  readonly #lab: KillLab;
  readonly #undisturbed: readonly GateRequest[];
  readonly #remains: Remains;

  private constructor(
    lab: KillLab,
    job: KillJob,
    reference: {
      readonly ran: Ran;
      readonly requests: readonly GateRequest[];
      readonly remains: Remains;
    },
  ) {
    this.#lab = lab;
    this.job = job;
    this.#undisturbed = reference.requests;
    this.#remains = reference.remains;
    this.points = pointsOf(reference.ran.requests);
  }

  static async begin(lab: KillLab, job: KillJob): Promise<KillTrials> {
    const place = await placeFor(lab, job);
    const ran = await lab.run(job.program(place), place);
    const requests = [...ran.requests, ...(await finish(lab, job, place, ran))];
    const now = await snapshot(job.result(place));
    await prove(job, now, place);
    const remains = await job.remains(now, place);
    return new KillTrials(lab, job, { ran, requests, remains });
  }

  /** Before and after each request that changes something. */
  get changing(): KillPoint[] {
    return this.points.filter(({ step }) => CHANGES.test(step));
  }

  /**
   * Draws this many points: one of each kind of request that changes something before any kind has
   * two. A process that dies at a read leaves what it would leave at the change before.
   */
  spread(count: number, random: (limit: number) => number): KillPoint[] {
    const kinds = [...Map.groupBy(this.changing, ({ step }) => step).values()];
    const drawn: KillPoint[] = [];
    let left: KillPoint[][] = [];
    while (drawn.length < count) {
      left = left.length === 0 ? [...kinds] : left;
      const [kind = []] = left.splice(random(left.length), 1);
      drawn.push(...kind.splice(random(kind.length), 1));
    }
    return drawn;
  }

  /**
   * @param options `between`: the points are proven before the second run too
   * @throws AssertionError, Fault
   */
  async kill(point: KillPoint, { between }: { readonly between: boolean }): Promise<Trial> {
    const { job } = this;
    const place = await placeFor(this.#lab, job);
    const killed = await this.#lab.run(job.program(place), place, point);
    assert(killed.isKilled, 'it came to its end before');
    const isWhole = job.mendsPoints !== true;
    const before =
      between && isWhole ? await prove(job, await snapshot(job.result(place)), place) : 0;
    const requests = [...killed.requests, ...(await finish(this.#lab, job, place, killed))];
    const now = await snapshot(job.result(place));
    const provenPoints = before + (await prove(job, now, place));
    const twice = (job.effort?.of(requests) ?? 0) - (job.effort?.of(this.#undisturbed) ?? 0);
    const slack = job.effort?.slack(this.#undisturbed) ?? 0;
    assert(twice <= slack, `${String(twice)} were sent twice, more than ${String(slack)}`);
    const foreign = (await entriesOf(now)).filter(({ key }) => !PROTOCOL.test(key));
    assert.deepEqual(foreign, []);
    assert.deepEqual(await unfinished(place.home), []);
    assert.deepEqual(await job.remains(now, place), this.#remains);
    return { twice, provenPoints };
  }
}

async function placeFor(lab: KillLab, job: KillJob): Promise<KillPlace> {
  const place = await lab.place(job.objects, job.kind, job.copy);
  await job.prepare?.(place);
  return place;
}

/** @returns the requests that it took */
async function finish(
  lab: KillLab,
  job: KillJob,
  place: KillPlace,
  ran: Ran,
): Promise<GateRequest[]> {
  const requests: GateRequest[] = [];
  const run = async (program: Program): Promise<Ran> => {
    const again = await lab.run(program, place);
    requests.push(...again.requests);
    return again;
  };
  if (job.finish !== undefined) {
    await job.finish(place, ran, run);
  } else if (ran.isKilled) {
    await run(job.program(place));
  }
  return requests;
}

/** Returns what a process has in its caches only while it works. */
async function unfinished(home: string): Promise<string[]> {
  const paths = await readdir(home, { recursive: true });
  const isUnfinished = (path: string): boolean =>
    /[.](?:tmp|part|partial)$|\/writing[.]/.test(path);
  // An array of this realm: in Jest those of Node's own modules belong to another and are never
  // equal.
  return [...paths.filter(isUnfinished)];
}

/** Copies what is there now, past all caches. */
export async function snapshot(store: ObjectStore): Promise<MemoryObjectStore> {
  const now = new MemoryObjectStore();
  await copyObjects(store, now);
  return now;
}

async function prove(job: KillJob, now: ObjectStore, place: KillPlace): Promise<number> {
  return job.prove === undefined ? provePoints(now) : job.prove(now, place);
}

/** Proves that all sealed points are whole. @returns how many; none if there is no vault yet */
export async function provePoints(store: ObjectStore): Promise<number> {
  if (!(await entriesOf(store)).some(({ key }) => key.startsWith('fmt/'))) {
    return 0;
  }
  const vault = await openVault(store);
  const points = await vault.points(signal);
  // Lists leave out what cannot be read.
  assert.deepEqual(await vault.inside.points.unreadable(signal), []);
  for (const { id } of points) {
    assert.deepEqual((await vault.verify(id, 3, { signal })).problems, []);
  }
  await vault.close();
  return points.length;
}

/**
 * Returns the kill points. A process that dies after a read was answered leaves what it would leave
 * before the read.
 */
export function pointsOf(requests: readonly GateRequest[]): KillPoint[] {
  const counts = new Map<string, number>();
  return requests.flatMap(({ step }) => {
    const nth = counts.get(step) ?? 0;
    counts.set(step, nth + 1);
    const before = { step, nth, moment: 'before' } as const;
    return CHANGES.test(step) ? [before, { ...before, moment: 'after' }] : [before];
  });
}
