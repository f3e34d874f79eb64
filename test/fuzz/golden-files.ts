import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { isFault } from '../../src/kernel/fault.ts';
import { SilentLog } from '../../src/kernel/log.ts';
import { seal, unseal } from '../../src/vault/bytes/aead.ts';
import { Holds } from '../../src/vault/points/holds.ts';
import {
  encodeControl,
  parsePreamble,
  type ControlKind,
} from '../../src/vault/control/control-object.ts';
import { packDamage } from '../../src/vault/copy/keyless-pack-check.ts';
import { FORMAT_VERSION } from '../../src/vault/format/format-version.ts';
import type { KeyTree } from '../../src/vault/keys/key-tree.ts';
import { KeepLog } from '../../src/vault/lock/keep-log.ts';
import { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import { newestCapabilities } from '../../src/vault/probe/probe-object.ts';
import { damagedObjects } from '../../src/vault/checks/control-check.ts';
import { DamagedSlots } from '../../src/vault/damage/damaged-slots.ts';
import { SIGNATURE_BYTES } from '../../src/vault/keys/retention-key.ts';
import { encodeSigned } from '../../src/vault/control/signed-object.ts';
import { Vault } from '../../src/vault/vault.ts';
import { makeGoldenVaults } from '../compat/golden-scenario.ts';
import { SECRETS } from '../compat/golden-vault.ts';
import { signal } from '../support/vault/vault-lab.ts';
import { spoiled, spoiledJson } from './mutation.ts';

/** By their numbers, from 1. */
const KINDS: readonly ControlKind[] = [
  ...(['format', 'seal', 'retire', 'condemned', 'done', 'bad', 'alias', 'hold'] as const),
  ...(['hold-end', 'retire-request', 'retired-list', 'probe', 'kept'] as const),
];
const SIGNED: readonly ControlKind[] = ['retire', 'hold-end', 'retired-list'];
const BINARY: readonly ControlKind[] = ['condemned', 'done', 'bad', 'alias'];
/** Processor time for everything that reads a vault; 30 is usual. */
const CPU_MS_MAX = 10_000;
/** However slow the machine is. */
const CALLS_MIN = 25;

interface Spoiled {
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** The golden vault of the present format with one object changed, again and again. */
export class GoldenFiles {
  readonly #objects: ReadonlyMap<string, Uint8Array>;
  readonly #keys: KeyTree;
  readonly #keyring: Uint8Array;
  /** How many vaults could be used to the end, and how many gave faults. */
  readonly outcomes = { used: 0, faults: 0 };

  private constructor(objects: ReadonlyMap<string, Uint8Array>, vault: Vault) {
    this.#objects = objects;
    this.#keys = vault.inside.base.keys;
    this.#keyring = vault.exportKey();
  }

  static async open(): Promise<GoldenFiles> {
    const kept = new URL(`../compat/golden/v${String(FORMAT_VERSION)}`, import.meta.url).pathname;
    const made = existsSync(kept) ? undefined : await mkdtemp(join(tmpdir(), 'hyperkeep-fuzz-'));
    if (made !== undefined) {
      await makeGoldenVaults(made);
    }
    const objects = await readObjects(join(made ?? kept, 'everything', 'vault'));
    if (made !== undefined) {
      await rm(made, { recursive: true });
    }
    const vault = await Vault.open(
      await storeOf(objects),
      { kind: 'passphrase', passphrase: SECRETS.first },
      { workers: 0, retention: { kind: 'passphrase', passphrase: SECRETS.retention } },
      signal,
    );
    return new GoldenFiles(objects, vault);
  }

  /** @throws any error that no vault may cause, with the object that caused it */
  async fuzz(milliseconds: number, seed: number): Promise<void> {
    const endsAtMs = performance.now() + milliseconds;
    const property = fc.asyncProperty(this.#inputs(), async (input) => this.#use(input));
    let round = seed;
    do {
      await fc.assert(property, { seed: round, numRuns: CALLS_MIN });
      round += 1;
    } while (performance.now() < endsAtMs);
  }

  #inputs(): fc.Arbitrary<Spoiled> {
    // Objects that open a vault may request much memory and time on purpose; key objects are fuzzed
    // separately.
    const some = [...this.#objects].filter(([key]) => !key.startsWith('keys/'));
    return fc.oneof(...some.map(([key, bytes]) => this.#variants(key, bytes)));
  }

  /** The mutated object, and what a holder of the keys could have written instead. */
  #variants(key: string, bytes: Uint8Array): fc.Arbitrary<Spoiled> {
    const plain = spoiled([bytes]).map((changed) => ({ key, bytes: changed }));
    const genuine =
      key.startsWith('d/') || key.startsWith('m/') ? undefined : this.#genuine(key, bytes);
    return genuine === undefined
      ? plain
      : fc.oneof(
          plain,
          genuine.map((changed) => ({ key, bytes: changed })),
        );
  }

  #genuine(key: string, bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
    if (key.startsWith('s/') && !key.endsWith('.ok')) {
      const additional = bytes.subarray(0, 64);
      const version = Buffer.from(additional).readUInt16LE(12);
      const place = { key: this.#keys.object('point', key, version), index: 0, additional };
      const json = unseal(place, bytes.subarray(64)) ?? Buffer.from('{}');
      const documents = spoiledJson(JSON.parse(json.toString('utf8')));
      return documents.map((content) => Buffer.concat([additional, seal(place, content)]));
    }
    const kind = KINDS[parsePreamble(bytes).kind - 1] ?? 'format';
    const isSigned = SIGNED.includes(kind);
    const body = Buffer.from(bytes.subarray(36 + (isSigned ? SIGNATURE_BYTES : 0), -32));
    const bodies =
      BINARY.includes(kind) || body.length === 0
        ? spoiled([body])
        : spoiledJson(JSON.parse(body.toString('utf8')));
    const encode = isSigned ? encodeSigned : encodeControl;
    return bodies.map((content) => encode(this.#keys, kind, key, content));
  }

  /** Runs everything that reads a vault. It may throw faults, and nothing else. */
  async #use({ key, bytes }: Spoiled): Promise<void> {
    const objects = new Map(this.#objects).set(key, bytes);
    const store = await storeOf(objects);
    const before = process.cpuUsage();
    let faults = 0;
    const tried = async (work: () => Promise<unknown>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        if (!isFault(error)) {
          throw new Error(`of ${key}: ${Buffer.from(bytes).toString('base64')}`, { cause: error });
        }
        faults += 1;
      }
    };
    const level = /^[dm]\//.test(key) ? 2 : 1;
    await tried(async () => this.#read(store, level, tried));
    await tried(async () => Promise.resolve(packDamage(key, bytes)));
    const { user, system } = process.cpuUsage(before);
    if ((user + system) / 1000 > CPU_MS_MAX) {
      throw new Error(`${key} takes too long: ${Buffer.from(bytes).toString('base64')}`);
    }
    this.outcomes[faults === 0 ? 'used' : 'faults'] += 1;
  }

  async #read(
    store: MemoryObjectStore,
    level: 1 | 2,
    tried: (work: () => Promise<unknown>) => Promise<void>,
  ): Promise<void> {
    const unlock = { kind: 'master-key', key: this.#keyring } as const;
    const vault = await Vault.open(store, unlock, { workers: 0 }, signal);
    const { base, points, excluded } = vault.inside;
    const log = new SilentLog();
    await tried(async () => {
      for (const { id } of await vault.points(signal)) {
        await tried(async () => vault.verify(id, level, { signal }));
      }
    });
    await tried(async () => points.retired(signal));
    await tried(async () => new Holds(base, log).list(signal));
    await tried(async () => new DamagedSlots(base, log).read(signal));
    await tried(async () => excluded.readCondemned(signal));
    await tried(async () => newestCapabilities(base, signal));
    await tried(async () => new KeepLog(store, base.keys).doneMs(signal));
    await tried(async () => damagedObjects({ base, points }, signal));
    await vault.close();
  }
}

async function readObjects(folder: string): Promise<Map<string, Uint8Array>> {
  const objects = new Map<string, Uint8Array>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const { parentPath, name } of entries.filter((entry) => entry.isFile())) {
    const path = join(parentPath, name);
    objects.set(path.slice(folder.length + 1), await readFile(path));
  }
  return objects;
}

async function storeOf(objects: ReadonlyMap<string, Uint8Array>): Promise<MemoryObjectStore> {
  const store = new MemoryObjectStore();
  for (const [key, bytes] of objects) {
    await store.put(key, bytes, signal);
  }
  return store;
}
