import assert from 'node:assert/strict';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { SilentLog } from '../../src/kernel/log.ts';
import { collectVault } from '../../src/vault/collect/collector.ts';
import { Holds } from '../../src/vault/points/holds.ts';
import { VaultKeys } from '../../src/vault/access/vault-keys.ts';
import { KeepLog } from '../../src/vault/lock/keep-log.ts';
import { StoreLayer } from '../../src/vault/store/store-layer.ts';
import type { ObjectStore } from '../../src/vault/store/object-store.ts';
import { DirectoryObjectStore } from '../../src/vault/object-stores/folder/directory.ts';
import { MemoryProofLedger } from '../../src/vault/checks/proof-ledger.ts';
import { scrub } from '../../src/vault/checks/scrub.ts';
import { repairVault } from '../../src/vault/repair/repair.ts';
import { newUlid } from '../../src/vault/bytes/ulid.ts';
import { Vault } from '../../src/vault/vault.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';
import { changeObject, flip, keysOf } from '../support/vault/vault-damage.ts';
import { signal } from '../support/vault/vault-lab.ts';
import {
  GoldenClock,
  goldenName,
  goldenPoint,
  makeSmallGolden,
  oneDisk,
  SECRETS,
  textBytes,
  writeExpected,
  type GoldenPoint,
  type GoldenVm,
} from './golden-vault.ts';

const MIB = 1024 * 1024;
/** A file that begins like this is restored unchanged. */
const QCOW2 = Buffer.from('QFI\u00fb', 'latin1');
/** One object has the default cost; the others are quick to open. */
const KDF = { memoryKib: 1024, passes: 2, lanes: 4 };
const FULL = { method: 'full', reason: 'first-backup' } as const;
const PARAMETERS = { packBytes: 128 * 1024, kdf: KDF };

/**
 * The golden vaults of the present format: one with every kind of object, one with the other chunk
 * ids.
 */
export async function makeGoldenVaults(folder: string): Promise<void> {
  for (const name of ['everything', 'hmac']) {
    await mkdir(join(folder, name), { recursive: true });
  }
  await new Scenario(join(folder, 'everything')).run();
  const clock = new GoldenClock();
  const parameters = { kdf: KDF, chunkId: 'hmac-sha256' } as const;
  const options = { name: 'golden hmac', passphrase: SECRETS.first, workers: 0, clock, parameters };
  await makeSmallGolden(join(folder, 'hmac'), options);
}

/** Names its place the same way wherever the vault is made. */
class NamedStore extends StoreLayer {
  override readonly location = 'a folder';
}

/**
 * The life of a vault in which everything happens once. Keys and names of objects are new each
 * time.
 */
class Scenario {
  readonly #folder: string;
  readonly #store: ObjectStore;
  readonly #clock = new GoldenClock();
  readonly #points: GoldenPoint[] = [];
  readonly #hurt: string[] = [];
  #recoveryFile = '';

  constructor(folder: string) {
    this.#folder = folder;
    this.#store = new NamedStore(
      new DirectoryObjectStore(join(folder, 'vault'), { clock: this.#clock }),
    );
  }

  async run(): Promise<void> {
    const probe = { largeBytes: MIB };
    const { vault } = await Vault.create(
      this.#store,
      {
        ...{ name: 'golden', passphrase: SECRETS.first, workers: 0, clock: this.#clock },
        ...{ parameters: PARAMETERS, probe },
      },
      signal,
    );
    const web = webServer();
    await this.#webBefore(vault, web);
    await this.#collected(vault);
    await this.#merged(vault);
    await vault.close();
    await this.#damaged();
    await this.#newKeys();
    await this.#webAfter(web);
    await this.#held();
    await writeExpected(this.#folder, this.#store, {
      vaultId: vault.id,
      recoveryFile: this.#recoveryFile,
      points: this.#points,
      damaged: this.#hurt.sort(),
    });
  }

  /** Two disks, whole, then what changed in them. */
  async #webBefore(vault: Vault, web: GoldenVm): Promise<void> {
    this.#points.push(await goldenPoint(vault, web, FULL, this.#clock));
    const [system] = web.disks;
    assert(system);
    const written = { offset: 70_000, length: 30_000, content: 'data' } as const;
    const zeroed = { offset: 30 * MIB, length: 16 * 4096, content: 'zero' } as const;
    system.disk.write(written.offset, textBytes('changed', written.length));
    system.disk.zero(zeroed);
    const changes = { method: 'changed-extents', extents: [written, zeroed] } as const;
    const onlySystem = { ...web, disks: [system] };
    this.#points.push(await goldenPoint(vault, onlySystem, changes, this.#clock));
  }

  /** Two points of which the first is given up: its packs go, or become another generation. */
  async #collected(vault: Vault): Promise<void> {
    const disk = new MemoryDisk(400_000);
    disk.write(0, seededBytes('collected', 200_000));
    const vm = { ...goldenName('old', 1), disks: [oneDisk(4, 'root', disk)], files: {} };
    const first = await goldenPoint(vault, vm, FULL, this.#clock);
    disk.write(0, seededBytes('later', 100_000));
    this.#points.push(await goldenPoint(vault, vm, FULL, this.#clock));
    await vault.retire(first.id, signal);
    const options = {
      ...{ youngMs: 0, mergeCount: 1000, liveShare: 0.9 },
      allPointsAreListed: true,
    };
    const report = await collectVault(vault.inside, options, { signal });
    assert(report.compactedPacks > 0 && report.removedPoints.length === 1);
  }

  /** Small packs become one, and aliases lead there. */
  async #merged(vault: Vault): Promise<void> {
    for (let number = 1; number <= 2; number++) {
      const disk = new MemoryDisk(50_000);
      disk.write(4096, seededBytes(`tiny ${String(number)}`, 3000));
      const name = goldenName(`tiny-${String(number)}`, 10 + number);
      const vm = { ...name, disks: [oneDisk(5, 'root', disk)], files: {} };
      this.#points.push(await goldenPoint(vault, vm, FULL, this.#clock));
    }
    const options = {
      ...{ youngMs: 0, mergeCount: 2, smallPackBytes: 16_000 },
      allPointsAreListed: true,
    };
    const report = await collectVault(vault.inside, options, { signal });
    assert(report.mergedPacks >= 4);
  }

  /** A pack that is repaired from a copy, and one that the next backup heals. */
  async #damaged(): Promise<void> {
    const copyFolder = `${this.#folder}-copy`;
    const disk = new MemoryDisk(300_000);
    disk.write(0, seededBytes('damaged', 90_000));
    const vm = { ...goldenName('hurt', 2), disks: [oneDisk(6, 'root', disk)], files: {} };
    const before = await keysOf(this.#store, 'd/');
    this.#points.push(await goldenPoint(await this.#open(), vm, FULL, this.#clock));
    const pack = (await keysOf(this.#store, 'd/')).find((key) => !before.includes(key));
    assert(pack !== undefined);
    await cp(join(this.#folder, 'vault'), copyFolder, { recursive: true });
    try {
      await changeObject(this.#store, pack, flip(20_000));
      await this.#scrub();
      const copy = new DirectoryObjectStore(copyFolder);
      const { inside } = await this.#open();
      const report = await repairVault(inside, { dryRun: false, copy }, { signal });
      assert(report.packs.some(({ lostSlots }) => lostSlots === 0));
    } finally {
      await rm(copyFolder, { recursive: true });
    }
    const generations = (await keysOf(this.#store, 'd/')).filter((key) => !before.includes(key));
    assert(generations.length === 2);
    for (const key of generations) {
      await changeObject(this.#store, key, flip(30_000));
      this.#hurt.push(key);
    }
    await this.#scrub();
    this.#points.push(await goldenPoint(await this.#open(), vm, FULL, this.#clock));
  }

  async #scrub(): Promise<void> {
    const { inside } = await this.#open();
    const parts = { ledger: new MemoryProofLedger(), budget: { bytes: Infinity } };
    const { list } = await scrub(inside, parts, { signal });
    assert(list !== undefined);
  }

  /** A second passphrase, a new data key, then a retention key of its own. */
  async #newKeys(): Promise<void> {
    const keep = (content: string): Promise<string> => {
      this.#recoveryFile = content;
      return Promise.resolve(content);
    };
    const open = async (kdf?: typeof KDF): Promise<VaultKeys> =>
      VaultKeys.open(
        this.#store,
        { vault: { kind: 'passphrase', passphrase: SECRETS.first } },
        { clock: this.#clock, ...(kdf && { kdf }) },
        signal,
      );
    const keys = await open(KDF);
    await keys.rotate([{ passphrase: SECRETS.first, label: 'first' }], keep, signal);
    await keys.separateRetention({ passphrase: SECRETS.retention, label: '' }, keep, signal);
    const second = { passphrase: SECRETS.second, label: 'second' };
    await (await open()).addPassphrase(second, 'vault', signal);
  }

  /** The same VM under the new key: maps and chunks are shared with what the old one protects. */
  async #webAfter(web: GoldenVm): Promise<void> {
    const vault = await this.#open();
    const [system, data] = web.disks;
    assert(system && data);
    system.disk.write(64 * MIB + 500_000, seededBytes('after', 10_000));
    data.disk.write(0, textBytes('after', 20_000));
    this.#points.push(
      await goldenPoint(vault, web, { method: 'full', reason: 'requested' }, this.#clock),
    );
    await vault.close();
  }

  /**
   * A hold in force, one that ended, a point given up with the new key, a request, and a keeper's
   * note.
   */
  async #held(): Promise<void> {
    const retention = { kind: 'passphrase', passphrase: SECRETS.retention } as const;
    const vault = await this.#open({ retention });
    const { base, points, clock } = vault.inside;
    const holds = new Holds(base, new SilentLog());
    const [first, second, third] = this.#points;
    assert(first && second && third);
    const why = { reason: 'golden', atMs: clock.nowMs() };
    await holds.hold(points, first, why, signal);
    await holds.release(await holds.hold(points, second, why, signal), clock.nowMs(), signal);
    await vault.retire(third.id, signal);
    this.#points.splice(2, 1);
    const { document } = await points.load(first, signal);
    const unsealed = { ...document, id: newUlid(clock.nowMs()) };
    await points.put(unsealed, signal);
    await points.ask(unsealed, clock.nowMs(), signal);
    await new KeepLog(base.store, base.keys).write(clock.nowMs(), signal);
    await vault.close();
  }

  async #open(
    more: { retention?: { kind: 'passphrase'; passphrase: string } } = {},
  ): Promise<Vault> {
    const unlock = { kind: 'passphrase', passphrase: SECRETS.first } as const;
    return Vault.open(this.#store, unlock, { workers: 0, clock: this.#clock, ...more }, signal);
  }
}

/**
 * Two disks and files: text, noise, holes, a size that is no multiple of a sector, a map of two
 * levels.
 */
function webServer(): GoldenVm {
  const system = new MemoryDisk(65 * MIB + 1536);
  system.write(0, textBytes('system', 150_000));
  system.write(30 * MIB, seededBytes('system', 40 * 4096));
  system.write(64 * MIB + 4096, textBytes('second leaf', 50_000));
  system.write(65 * MIB + 1000, textBytes('end', 536));
  const data = new MemoryDisk(3 * MIB);
  data.write(MIB, seededBytes('incompressible', 130_000));
  data.write(2 * MIB, new Uint8Array(50_000));
  return {
    ...goldenName('web', 0),
    disks: [oneDisk(1, 'system', system), oneDisk(2, 'data', data)],
    // More than one slot has room for.
    files: {
      nvram: Buffer.concat([QCOW2, textBytes('nvram', 32 * 1024)]),
      large: new Uint8Array(700_000).fill(7),
    },
  };
}
