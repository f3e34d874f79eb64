import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../kernel/clock.ts';
import { Fault, isFault } from '../../kernel/fault.ts';
import type { BucketFeatures } from '../store/bucket-features.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import type { Capabilities, CheckName, Finding } from './capabilities.ts';
import { probeLock } from './lock-probe.ts';
import { sweep } from './sweep.ts';

const VISIBILITY_ROUNDS = 24;
const RACE_ROUNDS = 8;
const LARGE_BYTES = 64 * 1024 * 1024;
const PATTERN_BYTES = 1024 * 1024;
/**
 * Names whose order differs between bytes, words and paths. None is the folder of another: a vault
 * has no such keys, and MinIO loses them in lists.
 */
const NAMES = ['a', 'a-b', 'a.b', 'a0', 'aB', 'ab', 'a_b', 'B', 'b/0', 'b/1', 'b/c/1', 'b/c0', 'c'];
const PAGE_KEYS = [1, 2, 3, 5, 7];

export interface ProbeOptions {
  readonly clock: Clock;
  /** Size of the large object; default 64 MiB. */
  readonly largeBytes?: number;
  /** How long the locks of the test last; default 12 s. */
  readonly lockMs?: number;
  /** Waits for a lock to end. */
  readonly wait?: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

type Check = (prefix: string, signal: AbortSignal) => Promise<Finding>;

const YES: Finding = { verdict: 'yes' };

function no(detail: string): Finding {
  return { verdict: 'no', detail };
}

/**
 * Tries what a store can do. Uses only keys under `probe/`, and leaves nothing behind that these
 * credentials can remove.
 * @throws Fault `store.unreachable` and the like if nothing can be tried
 */
export async function probeStore(
  store: ObjectStore,
  options: ProbeOptions,
  signal: AbortSignal,
): Promise<Capabilities> {
  const probe = new StoreProbe(store, options);
  return probe.run(signal);
}

class StoreProbe {
  readonly #store: ObjectStore;
  readonly #options: ProbeOptions;
  readonly #prefix = `probe/try-${randomBytes(8).toString('hex')}/`;

  constructor(store: ObjectStore, options: ProbeOptions) {
    this.#store = store;
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<Capabilities> {
    const findings: Partial<Record<CheckName, Finding>> = {};
    const { features } = this.#store;
    const { clock, lockMs, wait = plainWait } = this.#options;
    const serverMs = await features?.serverTimeMs(signal);
    const clockSkewMs = serverMs === undefined ? undefined : serverMs - clock.nowMs();
    try {
      for (const [name, check] of Object.entries(this.#checks()) as [CheckName, Check][]) {
        findings[name] = await settled(check(`${this.#prefix}${name}/`, signal));
      }
      for (const mode of ['governance', 'compliance'] as const) {
        const prefix = `${this.#prefix}lock-${mode}/`;
        const skewMs = clockSkewMs ?? 0;
        findings[`lock-${mode}`] = await settled(
          probeLock(
            this.#store,
            { mode, prefix, clock, skewMs, ...(lockMs === undefined ? {} : { lockMs }) },
            signal,
          ),
        );
      }
    } catch (error) {
      await sweep(this.#store, this.#prefix, { wait, clock }, signal);
      throw error;
    }
    const leftovers = await sweep(this.#store, this.#prefix, { wait, clock }, signal);
    return {
      atMs: clock.nowMs(),
      location: this.#store.location,
      findings,
      ...(clockSkewMs === undefined ? {} : { clockSkewMs }),
      leftovers,
    };
  }

  #checks(): Partial<Record<CheckName, Check>> {
    return {
      'put-get': async (prefix, signal) => this.#putGet(prefix, signal),
      ranges: async (prefix, signal) => this.#ranges(prefix, signal),
      'read-after-put': async (prefix, signal) => this.#visible(prefix, 'get', signal),
      'list-after-put': async (prefix, signal) => this.#visible(prefix, 'list', signal),
      'list-order': async (prefix, signal) => this.#order(prefix, signal),
      remove: async (prefix, signal) => this.#remove(prefix, signal),
      'large-object': async (prefix, signal) => this.#large(prefix, signal),
      'hash-refused': async (prefix, signal) => this.#hash(prefix, signal),
      'if-absent': async (prefix, signal) => this.#ifAbsent(prefix, signal),
      versions: async (prefix, signal) => this.#versions(prefix, signal),
    };
  }

  async #putGet(prefix: string, signal: AbortSignal): Promise<Finding> {
    for (const content of [Buffer.alloc(0), randomBytes(1), randomBytes(100_000)]) {
      const key = `${prefix}${content.length}`;
      await this.#store.put(key, content, signal);
      const back = await this.#store.get(key, signal);
      if (back === undefined || !content.equals(back)) {
        return no(`${content.length} bytes came back as ${back?.length ?? 'nothing'}`);
      }
    }
    return (await this.#store.get(`${prefix}none`, signal)) === undefined
      ? YES
      : no('there is an object that nobody put');
  }

  async #ranges(prefix: string, signal: AbortSignal): Promise<Finding> {
    const content = randomBytes(10_000);
    const key = `${prefix}object`;
    await this.#store.put(key, content, signal);
    const cases = [
      { range: { offset: 0, length: 1 }, expected: content.subarray(0, 1) },
      { range: { offset: 5000, length: 100 }, expected: content.subarray(5000, 5100) },
      { range: { offset: 9990, length: 100 }, expected: content.subarray(9990) },
      { range: { offset: 10_000, length: 10 }, expected: content.subarray(10_000) },
      { range: { offset: 20_000, length: 10 }, expected: content.subarray(10_000) },
      { range: { suffix: 64 }, expected: content.subarray(-64) },
      { range: { suffix: 20_000 }, expected: content },
    ];
    for (const { range, expected } of cases) {
      const part = await this.#store.getRange(key, range, signal);
      if (part?.objectSize !== content.length || !expected.equals(part.data)) {
        return no(`${JSON.stringify(range)} of ${content.length} bytes gave other bytes`);
      }
    }
    return YES;
  }

  /** Asks for each key before its put, to detect a cache that remembers absence. */
  async #visible(prefix: string, how: 'get' | 'list', signal: AbortSignal): Promise<Finding> {
    const sees = async (key: ObjectKey): Promise<boolean> =>
      how === 'get'
        ? (await this.#store.get(key, signal)) !== undefined
        : (await this.#keys(prefix, signal)).includes(key);
    for (let round = 0; round < VISIBILITY_ROUNDS; round++) {
      const key = `${prefix}${round}`;
      if (await sees(key)) {
        return no('it shows what was not put');
      }
      await this.#store.put(key, randomBytes(100), signal);
      if (!(await sees(key))) {
        return no(`put ${round + 1} of ${VISIBILITY_ROUNDS} did not show`);
      }
    }
    return YES;
  }

  async #order(prefix: string, signal: AbortSignal): Promise<Finding> {
    for (const name of NAMES) {
      await this.#store.put(prefix + name, randomBytes(10), signal);
    }
    for (const start of ['', 'a', 'a/', 'a_', 'b/', 'b/c', 'z']) {
      const expected = NAMES.filter((name) => name.startsWith(start)).sort();
      const listed = await this.#keys(prefix + start, signal);
      if (listed.join('\n') !== expected.map((name) => prefix + name).join('\n')) {
        return no(`the prefix ${start} gave ${listed.length} keys of ${expected.length}`);
      }
    }
    const expected = NAMES.map((name) => prefix + name).sort();
    for (const pageKeys of this.#store.features === undefined ? [] : PAGE_KEYS) {
      const pages = this.#store.features?.listInPages(prefix, pageKeys, signal) ?? [];
      if ((await Array.fromAsync(pages)).join('\n') !== expected.join('\n')) {
        return no(`pages of ${pageKeys} keys lost or repeated a key`);
      }
    }
    return YES;
  }

  async #remove(prefix: string, signal: AbortSignal): Promise<Finding> {
    const key = `${prefix}object`;
    await this.#store.put(key, randomBytes(10), signal);
    await this.#store.remove(key, signal);
    await this.#store.remove(`${prefix}none`, signal);
    const isThere =
      (await this.#store.get(key, signal)) !== undefined ||
      (await this.#keys(prefix, signal)).length > 0;
    return isThere ? no('it shows what was removed') : YES;
  }

  async #large(prefix: string, signal: AbortSignal): Promise<Finding> {
    const { largeBytes = LARGE_BYTES } = this.#options;
    const content = Buffer.alloc(largeBytes, randomBytes(Math.min(PATTERN_BYTES - 1, largeBytes)));
    const key = `${prefix}object`;
    const sha256 = createHash('sha256').update(content).digest();
    await this.#store.put(key, content, signal, { sha256 });
    const range = { offset: Math.floor(largeBytes / 2), length: 65_536 };
    const expected = content.subarray(range.offset, range.offset + range.length);
    const part = await this.#store.getRange(key, range, signal);
    return part?.objectSize === largeBytes && expected.equals(part.data)
      ? YES
      : no(`${largeBytes} bytes did not come back`);
  }

  async #hash(prefix: string, signal: AbortSignal): Promise<Finding> {
    const key = `${prefix}object`;
    try {
      await this.#store.put(key, randomBytes(1000), signal, { sha256: randomBytes(32) });
    } catch (error) {
      if (!isFault(error) || error.code !== 'store.hash-mismatch') {
        throw error;
      }
      // The object that was visible must now be gone.
      return (await this.#store.get(key, signal)) === undefined
        ? YES
        : no('it refuses and stores it all the same');
    }
    return no('it stores content that does not match');
  }

  async #ifAbsent(prefix: string, signal: AbortSignal): Promise<Finding> {
    const features = requireFeatures(this.#store);
    for (let round = 0; round < RACE_ROUNDS; round++) {
      const key = `${prefix}${round}`;
      const contents = [randomBytes(2000), randomBytes(2000)];
      const won = await Promise.all(
        contents.map((content) => features.putIfAbsent(key, content, signal)),
      );
      const winner = contents[won.indexOf(true)];
      const stored = await this.#store.get(key, signal);
      if (won.filter(Boolean).length !== 1 || winner === undefined) {
        return no(`${won.filter(Boolean).length} of two racing puts won`);
      }
      if (stored === undefined || !winner.equals(stored)) {
        return no('the loser of a race was stored');
      }
      if (await features.putIfAbsent(key, randomBytes(10), signal)) {
        return no('it overwrites what is there');
      }
    }
    return YES;
  }

  async #versions(prefix: string, signal: AbortSignal): Promise<Finding> {
    const features = requireFeatures(this.#store);
    const state = await features.versioning(signal);
    if (state !== 'enabled') {
      return no(`versioning is ${state}`);
    }
    const key = `${prefix}object`;
    const contents = [randomBytes(100), randomBytes(200), randomBytes(300)];
    for (const content of contents) {
      await this.#store.put(key, content, signal);
    }
    await this.#store.remove(key, signal);
    const all = await Array.fromAsync(features.listVersions(prefix, signal));
    const versions = all.filter(({ isDeleteMarker }) => !isDeleteMarker);
    const first = versions.at(-1);
    if (versions.length !== contents.length || all.length !== contents.length + 1 || !first) {
      return no(`${contents.length} puts and a removal gave ${all.length} versions`);
    }
    const part = await features.getVersion(first, undefined, signal);
    return part !== undefined && contents[0]?.equals(part.data) === true
      ? YES
      : no('the oldest version in its list is not the first one');
  }

  async #keys(prefix: string, signal: AbortSignal): Promise<ObjectKey[]> {
    const entries = await Array.fromAsync(this.#store.list(prefix, signal));
    return entries.map(({ key }) => key);
  }
}

function requireFeatures({ features }: ObjectStore): BucketFeatures {
  if (features === undefined) {
    throw new Fault('store.refused', 'a folder has no conditions and no versions');
  }
  return features;
}

/**
 * Turns a thrown error into a finding: a refusing store has failed the check; missing rights leave
 * it open.
 */
async function settled(check: Promise<Finding>): Promise<Finding> {
  try {
    return await check;
  } catch (error) {
    if (!isFault(error) || error.kind === 'unavailable') {
      throw error;
    }
    const { answer } = error.context;
    const detail = typeof answer === 'string' ? answer : error.message;
    return {
      verdict: error.kind === 'denied' ? 'unknown' : 'no',
      detail: detail.slice(0, 500),
    };
  }
}

async function plainWait(delayMs: number, signal: AbortSignal): Promise<void> {
  await pause(delayMs, undefined, { signal });
}
