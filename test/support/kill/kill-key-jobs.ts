import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { isFault } from '../../../src/kernel/fault.ts';
import { VaultKeys } from '../../../src/vault/access/vault-keys.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { MemoryObjectStore } from '../vault/memory-object-store.ts';
import { keyObjects, readKeyObject } from '../../../src/vault/access/key-search.ts';
import type { VaultUnlock } from '../../../src/vault/keys/vault-unlock.ts';
import { Vault } from '../../../src/vault/vault.ts';
import { rescue, take, type BeginJob, type KillJob, type Remains } from './kill-job.ts';
import type { KillLab, KillPlace, Program } from './kill-lab.ts';
import { seededBytes } from '../random/seeded-bytes.ts';
import { createVault, PASSPHRASE, signal } from '../vault/vault-lab.ts';

const NEW = 'the passphrase of tomorrow';
const RETENTION = 'only for the one who retires';
const NOT_FOUND = 4;
const CHEAP = { memoryKib: 64, passes: 1, lanes: 1 };

/** Something that may open the vault, and its name in what remains. */
interface Way {
  readonly name: string;
  readonly unlock: VaultUnlock;
}

/** Trying costs an Argon2 run per key object, so answers for a copy of a vault are kept. */
const KNOWN_WAYS = new WeakMap<ObjectStore, Promise<OpenWay[]>>();

/** A way that opens the vault. */
interface OpenWay extends Way {
  readonly vault: Vault;
}

/**
 * A vault that a passphrase and a recovery file open, with one point that stands and one that was
 * given up.
 */
interface KeyLab {
  readonly lab: KillLab;
  readonly store: MemoryObjectStore;
  readonly recoveryFile: string;
  readonly pointId: string;
  /** Of the second passphrase. */
  readonly secrets: Readonly<Record<string, string>>;
}

async function keyLab(lab: KillLab, retentionPassphrase?: string): Promise<KeyLab> {
  const store = new MemoryObjectStore();
  const { vault, recoveryFile } = await createVault(
    store,
    retentionPassphrase === undefined ? {} : { retentionPassphrase },
  );
  const disk = new MemoryDisk(200_000);
  disk.write(0, seededBytes('keys', 150_000));
  const retired = await take(vault, disk, 'web');
  disk.write(0, seededBytes('keys later', 50_000));
  const pointId = await take(vault, disk, 'web');
  const unlocks = { vault: byPassphrase(PASSPHRASE), ...retentionOf(retentionPassphrase) };
  const opened = await Vault.open(store, unlocks.vault, { workers: 0, ...unlocks }, signal);
  await opened.retire(retired, signal);
  const file = async (name: string, secret: string): Promise<string> => {
    const path = join(lab.folder, name);
    await writeFile(path, `${secret}\n`, { mode: 0o600 });
    return path;
  };
  return {
    lab,
    store,
    recoveryFile,
    pointId,
    secrets: {
      HYPERKEEP_NEW_PASSPHRASE_FILE: await file('new', NEW),
      HYPERKEEP_RETENTION_PASSPHRASE_FILE: await file('retention', RETENTION),
    },
  };
}

function retentionOf(passphrase: string | undefined): { retention?: VaultUnlock } {
  return passphrase === undefined ? {} : { retention: byPassphrase(passphrase) };
}

function byPassphrase(passphrase: string): VaultUnlock {
  return { kind: 'passphrase', passphrase };
}

/** `rescue keys WORDS` at a place. */
function keysCommand(
  { lab, secrets }: KeyLab,
  { vault }: KillPlace,
  words: readonly string[],
  environment: Record<string, string> = {},
): Program {
  return rescue(['keys', ...words, '--vault', vault, '--endpoint', lab.endpoint], {
    environment: { ...secrets, ...environment },
    exitCodes: [NOT_FOUND],
  });
}

/** Makes a job on keys: `wanted` are the ways that open the vault when it is done. */
function keysJob(
  keys: KeyLab,
  program: KillJob['program'],
  { wanted, finish }: { readonly wanted: readonly string[] } & Pick<KillJob, 'finish'>,
): KillJob {
  return {
    kind: 'plain',
    objects: keys.store,
    program,
    ...(finish && { finish }),
    prove: async (now, place) => provedWays(keys, now, place),
    result: (place) => place.store,
    remains: async (now, place) => {
      const names = (await openingWays(keys, now, place)).map(({ name }) => name);
      assert.deepEqual([...new Set(names)].sort(), wanted.toSorted());
      return keyRemains(now, names);
    },
  };
}

/** `keys add` */
async function add(lab: KillLab): Promise<KillJob> {
  const keys = await keyLab(lab);
  const program: KillJob['program'] = (place) =>
    keysCommand(keys, place, ['add', '--label', 'anna']);
  return keysJob(keys, program, { wanted: ['now', 'old file', 'tomorrow'] });
}

/** `keys change` */
async function change(lab: KillLab): Promise<KillJob> {
  const keys = await keyLab(lab);
  const program: KillJob['program'] = (place) => keysCommand(keys, place, ['change']);
  return keysJob(keys, program, {
    wanted: ['old file', 'tomorrow'],
    finish: async (place, _ran, run) => {
      const ways = await openingWays(keys, place.store, place);
      if (ways.some(({ name }) => name === 'now')) {
        await run(program(place));
      }
    },
  });
}

/** `keys remove` of a second passphrase. */
async function remove(lab: KillLab): Promise<KillJob> {
  const keys = await keyLab(lab);
  const options = { clock: new SystemClock(), kdf: CHEAP };
  const unlocks = { vault: byPassphrase(PASSPHRASE) };
  const opened = await VaultKeys.open(keys.store, unlocks, options, signal);
  const key = await opened.addPassphrase({ passphrase: NEW, label: '' }, 'vault', signal);
  const id = key.replace('keys/', '').slice(0, 15);
  const program: KillJob['program'] = (place) => keysCommand(keys, place, ['remove', id, '--yes']);
  return keysJob(keys, program, { wanted: ['now', 'old file'] });
}

/**
 * Repeats the command with another recovery file: it does not overwrite that of a run that died.
 */
function againWith(
  keys: KeyLab,
  words: (file: string) => readonly string[],
): Pick<KillJob, 'program' | 'finish'> {
  return {
    program: (place) => keysCommand(keys, place, words('first.txt')),
    finish: async (place, { isKilled }, run) => {
      if (isKilled) {
        const ways = await openingWays(keys, place.store, place);
        const secret = ways.some(({ name }) => name === 'now') ? 'passphrase' : 'new';
        const environment = { HYPERKEEP_PASSPHRASE_FILE: join(keys.lab.folder, secret) };
        await run(keysCommand(keys, place, words('second.txt'), environment));
      }
    },
  };
}

/** `keys recovery-file`, of a vault with a retention key of its own. */
async function recoveryFile(lab: KillLab): Promise<KillJob> {
  const keys = await keyLab(lab, RETENTION);
  const { program, finish } = againWith(keys, (file) => [
    ...['recovery-file', '--new-recovery-file', file],
  ]);
  return keysJob(keys, program, { wanted: ['new file', 'now'], ...(finish && { finish }) });
}

/** `keys rotate`, to another passphrase. */
async function rotate(lab: KillLab): Promise<KillJob> {
  const keys = await keyLab(lab);
  const { program, finish } = againWith(keys, (file) => [
    ...['rotate', '--yes', '--new-recovery-file', file],
  ]);
  return keysJob(keys, program, { wanted: ['new file', 'tomorrow'], ...(finish && { finish }) });
}

/** `keys separate-retention` */
async function separateRetention(lab: KillLab): Promise<KillJob> {
  const keys = await keyLab(lab);
  const { program, finish } = againWith(keys, (file) => [
    ...['separate-retention', '--yes', '--new-recovery-file', file],
  ]);
  return keysJob(keys, program, { wanted: ['new file', 'now'], ...(finish && { finish }) });
}

/** Returns the known ways that open the vault. */
async function openingWays(
  keys: KeyLab,
  store: ObjectStore,
  place: KillPlace,
): Promise<readonly OpenWay[]> {
  let ways = KNOWN_WAYS.get(store);
  if (ways === undefined || store === place.store) {
    ways = tryWays(store, await knownWays(keys, place));
    KNOWN_WAYS.set(store, ways);
  }
  return ways;
}

async function knownWays({ recoveryFile }: KeyLab, { home }: KillPlace): Promise<Way[]> {
  const ways: Way[] = [
    { name: 'now', unlock: byPassphrase(PASSPHRASE) },
    { name: 'tomorrow', unlock: byPassphrase(NEW) },
    { name: 'old file', unlock: { kind: 'recovery-file', content: recoveryFile } },
  ];
  for (const name of (await readdir(home)).filter((file) => file.endsWith('.txt'))) {
    const content = await readFile(join(home, name), 'utf8');
    ways.push({ name: 'new file', unlock: { kind: 'recovery-file', content } });
  }
  return ways;
}

async function tryWays(store: ObjectStore, ways: readonly Way[]): Promise<OpenWay[]> {
  const opening: OpenWay[] = [];
  for (const way of ways) {
    try {
      const vault = await Vault.open(store, way.unlock, { workers: 0 }, signal);
      opening.push({ ...way, vault });
    } catch (error) {
      assert(isFault(error), String(error));
    }
  }
  return opening;
}

/** A passphrase and a recovery file open the vault, and everything in it is whole. */
async function provedWays(keys: KeyLab, store: ObjectStore, place: KillPlace): Promise<number> {
  const ways = await openingWays(keys, store, place);
  const kinds = [...new Set(ways.map(({ unlock }) => unlock.kind))].sort();
  assert.deepEqual(kinds, ['passphrase', 'recovery-file']);
  for (const { vault } of ways) {
    const ids = (await vault.points(signal)).map(({ id }) => id);
    assert.deepEqual(ids, [keys.pointId]);
    assert.deepEqual((await vault.verify(keys.pointId, 3, { signal })).problems, []);
  }
  return ways.length;
}

async function keyRemains(store: ObjectStore, names: readonly string[]): Promise<Remains> {
  const remains: Record<string, number> = {};
  const count = (what: string): void => {
    remains[what] = (remains[what] ?? 0) + 1;
  };
  names.forEach(count);
  for (const key of await keyObjects(store, signal)) {
    const object = await readKeyObject(store, key, signal);
    assert(object !== undefined && !isFault(object));
    count(`${object.kind} ${object.purpose} ${object.label}`);
  }
  return remains;
}

export const KEY_KILL_JOBS = {
  'keys-add': add,
  'keys-change': change,
  'keys-remove': remove,
  'keys-recovery-file': recoveryFile,
  'keys-rotate': rotate,
  'keys-separate-retention': separateRetention,
} satisfies Record<string, BeginJob>;
