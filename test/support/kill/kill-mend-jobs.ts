import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { Holds } from '../../../src/vault/points/holds.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { MemoryObjectStore } from '../vault/memory-object-store.ts';
import { DamagedSlots } from '../../../src/vault/damage/damaged-slots.ts';
import { FolderProofLedger, MemoryProofLedger } from '../../../src/vault/checks/proof-ledger.ts';
import { scrubVault } from '../../../src/vault/checks/scrub-vault.ts';
import { folderOfVault } from '../../../src/vault/packs/footer-cache.ts';
import { OptionalFolder } from '../../../src/kernel/files/optional-folder.ts';
import { StoreLayer } from '../../../src/vault/store/store-layer.ts';
import {
  inventory,
  PACKS_SENT,
  rescue,
  take,
  type BeginJob,
  type KillJob,
  type Remains,
} from './kill-job.ts';
import { copyObjects, type KillLab, type KillPlace } from './kill-lab.ts';
import type { GateRequest } from '../s3/s3-gate.ts';
import { seededBytes } from '../random/seeded-bytes.ts';
import { changeObject, flip, keysOf, remove } from '../vault/vault-damage.ts';
import { createVault, openVault, restored, signal } from '../vault/vault-lab.ts';

const DAMAGE_FOUND = 9;
/** Proofs are kept after so many packs: `PACKS_PER_RECORD`. */
const PACKS_PER_RECORD = 16;
const SCRUBS_MAX = 5;

/** A vault in which every point has two packs of its own. */
async function storeWithPoints(count: number): Promise<MemoryObjectStore> {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(200_000);
  for (let i = 0; i < count; i++) {
    disk.write(0, seededBytes(`point ${String(i)}`, 50_000));
    await take(vault, disk, 'web');
  }
  return store;
}

/** A vault of two VMs, and a whole copy of it. */
async function twoPlaces(): Promise<{ store: MemoryObjectStore; copy: MemoryObjectStore }> {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(1_000_000);
  disk.write(0, seededBytes('mended', 900_000));
  const first = await take(vault, disk, 'web');
  disk.write(0, seededBytes('mended later', 300_000));
  await take(vault, disk, 'web');
  await take(vault, disk, 'mail');
  const { base, points, log } = vault.inside;
  const why = { reason: 'kept', atMs: 1 };
  await new Holds(base, log).hold(points, { vmId: 'web', id: first }, why, signal);
  const copy = new MemoryObjectStore();
  await copyObjects(store, copy);
  return { store, copy };
}

/** `rescue repair` with a copy: packs that are missing or damaged, a point, a seal and a hold. */
async function repairByCopy(lab: KillLab): Promise<KillJob> {
  const { store, copy } = await twoPlaces();
  const [missing = '', damaged = ''] = await keysOf(store, 'd/');
  const [map = ''] = await keysOf(store, 'm/');
  await changeObject(store, missing, remove);
  await changeObject(store, map, remove);
  await changeObject(store, damaged, flip(100));
  await noteDamage(store);
  for (const key of await keysOf(store, 's/mail/')) {
    await changeObject(store, key, remove);
  }
  const [seal = ''] = (await keysOf(store, 's/web/')).filter((key) => key.endsWith('.ok'));
  await changeObject(store, seal, flip(50));
  const [hold = ''] = await keysOf(store, 'hold/');
  await changeObject(store, hold, remove);
  return {
    kind: 'plain',
    objects: store,
    copy,
    mendsPoints: true,
    program: (place) => rescue([...byCopy(lab, place), '--overwrite']),
    effort: PACKS_SENT,
    result: (place) => place.store,
    remains: async (now) => {
      await requireHealed(now);
      return inventory(now);
    },
  };
}

/**
 * `rescue repair` alone: what says where frames are is damaged; only the cache of the machine has
 * one of the footers.
 */
async function repairAlone(lab: KillLab): Promise<KillJob> {
  const store = await storeWithPoints(4);
  const whole = new MemoryObjectStore();
  await copyObjects(store, whole);
  const [header = '', trailer = '', prefix = '', footer = ''] = await keysOf(store, 'd/');
  await changeObject(store, header, flip(10));
  await changeObject(store, trailer, flip(-5));
  await changeObject(store, prefix, flip(66));
  await changeObject(store, footer, flip(-70));
  await noteDamage(store);
  return {
    kind: 'plain',
    objects: store,
    mendsPoints: true,
    prepare: async (place) => {
      const identity = `${place.store.location}@${lab.endpoint}`;
      await learnFooters(new PlacedStore(whole, identity), place);
      await noteDamage(new PlacedStore(store, identity), vaultsFolder(place));
    },
    program: ({ vault: location }) =>
      rescue(['repair', '--vault', location, '--endpoint', lab.endpoint, '--yes']),
    effort: PACKS_SENT,
    result: (place) => place.store,
    remains: async (now) => {
      await requireHealed(now);
      return inventory(now);
    },
  };
}

/** `rescue repair` of a vault whose format and keys are gone. */
async function repairAccess(lab: KillLab): Promise<KillJob> {
  const store = await storeWithPoints(1);
  const copy = new MemoryObjectStore();
  await copyObjects(store, copy);
  for (const key of [...(await keysOf(store, 'fmt/')), ...(await keysOf(store, 'keys/'))]) {
    await changeObject(store, key, remove);
  }
  return {
    kind: 'plain',
    objects: store,
    copy,
    mendsPoints: true,
    program: (place) => rescue(byCopy(lab, place)),
    result: (place) => place.store,
    remains: async (now) => {
      // Only the number counts, not the rest of the name.
      const found = Object.entries(await inventory(now));
      return Object.fromEntries(
        found.map(([key, size]) => [key.replace(/(?<=^fmt\/\d+)-.*/, ''), size]),
      );
    },
  };
}

/** `rescue scrub` of a share, one of whose packs is damaged. */
async function scrub(lab: KillLab): Promise<KillJob> {
  const store = await storeWithPoints(11);
  const packs = (await keysOf(store, 'd/')).length + (await keysOf(store, 'm/')).length;
  // Late in the first share, and not in the second, which is the other quarter and the first half
  // of the vault.
  await changeObject(store, (await keysOf(store, 'd/')).at(3) ?? '', flip(100));
  const program: KillJob['program'] = ({ vault: location }) =>
    rescue(['scrub', '--vault', location, '--endpoint', lab.endpoint, '--share', '3/4'], {
      exitCodes: [DAMAGE_FOUND],
    });
  return {
    kind: 'plain',
    objects: store,
    mendsPoints: true,
    program,
    finish: async (place, { requests, isKilled }, run) => {
      const kept = (await provenPacks(place)).size;
      assert(!isKilled || kept >= wholeRecords(requests), `${String(kept)} were kept`);
      for (let runs = 0; (await provenPacks(place)).size < packs; runs++) {
        assert(runs < SCRUBS_MAX, 'it does not come round');
        await run(program(place));
      }
    },
    // One pack is damaged: what remains shows that it does not get worse.
    prove: async () => Promise.resolve(1),
    result: (place) => place.store,
    remains: async (now, place): Promise<Remains> => {
      const lists = [...(await damageOf(now)).lists];
      assert.deepEqual([...new Set(lists.flatMap(({ slots }) => [...slots.packs()]))].length, 1);
      const { bad, ...rest } = Object.groupBy(Object.entries(await inventory(now)), ([key]) =>
        key.startsWith('bad/') ? 'bad' : 'rest',
      );
      assert(bad !== undefined);
      const proofs = await provenPacks(place);
      return {
        ...Object.fromEntries(rest.rest ?? []),
        'known to be damaged': [...proofs.values()].filter(Boolean).length,
        'lists of damage': lists.length,
      };
    },
  };
}

function byCopy(lab: KillLab, { vault, copy }: KillPlace): string[] {
  const here = ['--vault', vault, '--endpoint', lab.endpoint];
  return ['repair', ...here, '--copy', copy, '--copy-endpoint', lab.endpoint, '--yes'];
}

/** Writes down what a scrub of everything finds; in that folder too, if given. */
async function noteDamage(store: ObjectStore, vaultsFolder?: string): Promise<void> {
  const { id, inside } = await openVault(store);
  const ledger =
    vaultsFolder === undefined
      ? new MemoryProofLedger()
      : new FolderProofLedger(
          new OptionalFolder(folderOfVault(vaultsFolder, id, store.identity), new SilentLog()),
        );
  await scrubVault(inside, { ledger, budget: {} }, { signal });
}

async function damageOf(store: ObjectStore): Promise<DamagedSlots> {
  const { inside } = await openVault(store);
  const damaged = new DamagedSlots(inside.base, new SilentLog());
  await damaged.read(signal);
  return damaged;
}

/** Requires that nothing noted as damaged is still so. */
async function requireHealed(store: ObjectStore): Promise<void> {
  const lists = [...(await damageOf(store)).lists];
  assert(lists.length > 0);
  for (const { slots, healed } of lists) {
    assert(slots.encode().equals(healed.encode()));
  }
}

/** An object store that claims another location. */
class PlacedStore extends StoreLayer {
  readonly #identity: string;

  constructor(store: ObjectStore, identity: string) {
    super(store);
    this.#identity = identity;
  }

  override get identity(): string {
    return this.#identity;
  }
}

function vaultsFolder({ home }: KillPlace): string {
  return join(home, 'cache/hyperkeep/vaults');
}

async function learnFooters(store: ObjectStore, place: KillPlace): Promise<void> {
  const vault = await openVault(store, { cacheFolder: vaultsFolder(place) });
  for (const point of await vault.points(signal)) {
    await restored(vault, point, point.disks[0]?.sizeBytes ?? 0);
  }
  await vault.close();
}

/** Returns, from the ledger on the machine, whether each pack is damaged. */
async function provenPacks(place: KillPlace): Promise<Map<string, boolean>> {
  const proven = new Map<string, boolean>();
  const folder = vaultsFolder(place);
  const paths = await readdir(folder, { recursive: true }).catch(() => []);
  for (const path of paths.filter((name) => /proofs\/[dm]-\d+[.]json$/.test(name))) {
    const proofs = JSON.parse(await readFile(join(folder, path), 'utf8')) as {
      key: string;
      damage?: string;
    }[];
    for (const { key, damage } of proofs) {
      proven.set(key, damage !== undefined);
    }
  }
  return proven;
}

/** Returns how many of the fully read packs are in whole records. */
function wholeRecords(requests: readonly GateRequest[]): number {
  const paths = new Set(requests.filter(({ step }) => step === 'GET d/').map(({ path }) => path));
  return Math.floor((paths.size - 1) / PACKS_PER_RECORD) * PACKS_PER_RECORD;
}

export const MEND_KILL_JOBS = {
  'repair-by-copy': repairByCopy,
  'repair-alone': repairAlone,
  'repair-access': repairAccess,
  scrub,
} satisfies Record<string, BeginJob>;
