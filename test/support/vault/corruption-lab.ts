import { MemoryDisk } from '../disk/memory-disk.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { isFault } from '../../../src/kernel/fault.ts';
import { Log } from '../../../src/kernel/log.ts';
import { Aliases } from '../../../src/vault/packs/aliases.ts';
import { encodeControl } from '../../../src/vault/control/control-object.ts';
import { ExcludedSlots } from '../../../src/vault/points/excluded-slots.ts';
import { numberedKey, PREFIXES } from '../../../src/vault/format/object-names.ts';
import { MemoryObjectStore } from './memory-object-store.ts';
import { writeDamage } from '../../../src/vault/damage/damage-list.ts';
import { DamagedSlots } from '../../../src/vault/damage/damaged-slots.ts';
import { MemoryProofLedger } from '../../../src/vault/checks/proof-ledger.ts';
import { scrub, scrubWithoutKey } from '../../../src/vault/checks/scrub.ts';
import { repairAccess } from '../../../src/vault/repair/access-repair.ts';
import { repairVault } from '../../../src/vault/repair/repair.ts';
import { SlotSet } from '../../../src/vault/slots/slot-set.ts';
import { newUlid } from '../../../src/vault/bytes/ulid.ts';
import { Vault } from '../../../src/vault/vault.ts';
import { seededBytes } from '../random/seeded-bytes.ts';
import { keysOf } from './vault-damage.ts';
import { backUp, createVault, fingerprint, PASSPHRASE, restored, signal, VM } from './vault-lab.ts';

/** Keeps what is logged during work: warnings and errors. */
class Ears extends Log {
  readonly heard = new Set<string>();

  override error(event: string): void {
    this.heard.add(event);
  }

  override warn(event: string): void {
    this.heard.add(event);
  }

  override info(): void {
    // Not a sign of damage.
  }

  override debug(): void {
    // Not a sign of damage.
  }
}

interface Expected {
  readonly id: string;
  readonly hash: string;
}

const LEDGER = (): { ledger: MemoryProofLedger; budget: { bytes: number } } => ({
  ledger: new MemoryProofLedger(),
  budget: { bytes: Infinity },
});

/**
 * A small vault with two points, a retired one, and two of each control object, and what to expect
 * of it. Nothing in it is ever changed: work on `clone()`.
 */
export class CorruptionLab {
  readonly store: MemoryObjectStore;
  readonly #disk: MemoryDisk;
  readonly #points: readonly Expected[];
  readonly #named: { readonly condemned: string; readonly damaged: string; readonly alias: string };

  private constructor(
    store: MemoryObjectStore,
    disk: MemoryDisk,
    points: readonly Expected[],
    named: { readonly condemned: string; readonly damaged: string; readonly alias: string },
  ) {
    this.store = store;
    this.#disk = disk;
    this.#points = points;
    this.#named = named;
  }

  /**
   * @param partBytes what each point adds; a multiple of a sector. From 2 MiB on frames are as long
   * as they get.
   */
  static async create(partBytes = 49_152): Promise<CorruptionLab> {
    const store = new MemoryObjectStore();
    const packBytes = partBytes + 16_384;
    const { vault } = await createVault(store, { parameters: { packBytes } });
    const disk = new MemoryDisk(2 * partBytes + 21_696);
    const points: Expected[] = [];
    // With a hole between: what was cut at the end of one is cut there again when both are read.
    for (const offset of [0, partBytes + 16_384]) {
      disk.write(offset, seededBytes(`corruption ${String(offset)}`, partBytes));
      const { id } = await backUp(vault, disk);
      points.push({ id, hash: await fingerprint(disk.reader()) });
    }
    const other = { vmId: 'another', vmName: 'another' };
    for (const seed of ['given up', 'given up too']) {
      const scratch = new MemoryDisk(20_000);
      scratch.write(0, seededBytes(seed, 20_000));
      const { id } = await backUp(vault, scratch, { vm: other });
      await vault.retire(id, signal);
    }
    const [condemned = '', damaged = '', alias = ''] = [1, 2, 3].map((time) => newUlid(time));
    const { base, log } = vault.inside;
    for (let n = 1; n <= 2; n++) {
      const set = new SlotSet();
      set.add(n === 1 ? condemned : newUlid(4), [{ first: 0, count: n }]);
      const key = numberedKey(PREFIXES.condemned, n);
      await store.put(key, encodeControl(base.keys, 'condemned', key, set.encode()), signal);
      const bad = new SlotSet();
      bad.add(n === 1 ? damaged : newUlid(5), [{ first: 0, count: n }]);
      await writeDamage(base, bad, signal);
      const from = { ulid: n === 1 ? alias : newUlid(6), slot: n };
      await new Aliases(base, log).write(
        [{ from, to: { ulid: newUlid(7), slot: 1 }, count: 1 }],
        signal,
      );
    }
    await vault.close();
    return new CorruptionLab(store, disk, points, { condemned, damaged, alias });
  }

  async clone(store = this.store): Promise<MemoryObjectStore> {
    const copy = new MemoryObjectStore();
    for (const key of await keysOf(store, '')) {
      await copy.put(key, (await store.get(key, signal)) ?? new Uint8Array(), signal);
    }
    return copy;
  }

  async open(store: MemoryObjectStore, log: Log = new Ears()): Promise<Vault> {
    const unlock = { kind: 'passphrase', passphrase: PASSPHRASE } as const;
    return Vault.open(store, unlock, { workers: 0, log }, signal);
  }

  /** Restores everything. @returns `same`, or the codes of the faults; throws for wrong bytes */
  async restore(store: MemoryObjectStore, opened?: Vault): Promise<string> {
    const outcomes = new Set<string>();
    const failure = await faultOr(async () => {
      const vault = opened ?? (await this.open(store));
      for (const point of this.#points) {
        outcomes.add(await faultOr(async () => this.#restorePoint(vault, point)));
      }
      return '';
    });
    return failure === '' ? [...outcomes].sort().join(', ') : failure;
  }

  async #restorePoint(vault: Vault, { id, hash }: Expected): Promise<string> {
    const back = await restored(vault, { id }, this.#disk.size);
    if ((await fingerprint(back.reader())) !== hash) {
      throw new Error('WRONG CONTENT WAS RESTORED');
    }
    return 'same';
  }

  /** Whether verify at its deepest finds nothing wrong with any point. */
  async isProven(store: MemoryObjectStore): Promise<boolean> {
    const failure = await faultOr(async () => {
      const vault = await this.open(store);
      for (const { id } of this.#points) {
        if (!(await vault.verify(id, 3, { signal })).ok) {
          return 'not whole';
        }
      }
      return '';
    });
    return failure === '';
  }

  /** Returns what notices the damage of the vault, the cheapest first; empty if nothing does. */
  async detectedBy(store: MemoryObjectStore): Promise<string[]> {
    const found: string[] = [];
    const ears = new Ears();
    let vault: Vault;
    try {
      vault = await this.open(store, ears);
    } catch (error) {
      if (!isFault(error)) {
        throw error;
      }
      return ['open'];
    }
    const list = await vault.points(signal);
    if (list.map(({ id }) => id).join() !== this.#points.map(({ id }) => id).join()) {
      found.push('list');
    }
    for (const level of [0, 1, 2, 3] as const) {
      const reports = [];
      for (const { id } of list) {
        reports.push(await vault.verify(id, level, { signal }));
      }
      if (reports.some(({ ok }) => !ok)) {
        found.push(`L${String(level)}`);
        break;
      }
    }
    const crc = await scrubWithoutKey(store, { ...LEDGER(), clock: new SystemClock() }, { signal });
    if (crc.damaged.length > 0) {
      found.push('crc scrub');
    }
    const scrubbed = await this.clone(store);
    const { damaged, damagedObjects } = await scrub((await this.open(scrubbed)).inside, LEDGER(), {
      signal,
    });
    if (damaged.length + damagedObjects.length > 0) {
      found.push('scrub');
    }
    if ((await this.restore(store, vault)) !== 'same') {
      found.push('restore');
    }
    if ((await this.#backup(vault)) !== '') {
      found.push('backup');
    }
    if (ears.heard.size > 0) {
      found.push('log');
    }
    return found;
  }

  /**
   * Returns the first way that makes the vault whole: what is known, restorable and protected is as
   * before.
   */
  async repairedBy(damaged: () => Promise<MemoryObjectStore>): Promise<string> {
    if (await this.#isWhole(await damaged())) {
      return 'nothing to repair';
    }
    const ways: [string, (store: MemoryObjectStore) => Promise<unknown>][] = [
      ['the vault itself', async (store) => this.#repair(store)],
      ['the next backup', async (store) => this.#heal(store)],
      ['a copy', async (store) => this.#repair(store, { copy: this.store })],
      [
        'a copy, when told to overwrite',
        async (store) => this.#repair(store, { copy: this.store, overwrite: true }),
      ],
    ];
    for (const [name, way] of ways) {
      const store = await damaged();
      await faultOr(async () => {
        await way(store);
        return '';
      });
      if (await this.#isWhole(store)) {
        return name;
      }
    }
    return 'by hand';
  }

  async #repair(
    store: MemoryObjectStore,
    options: { readonly copy?: MemoryObjectStore; readonly overwrite?: boolean } = {},
  ): Promise<void> {
    const { copy, overwrite = false } = options;
    if (copy !== undefined) {
      const unlock = { kind: 'passphrase', passphrase: PASSPHRASE } as const;
      await repairAccess({ store, copy, unlock }, { apply: true, overwrite }, signal);
    }
    const { inside } = await this.open(store);
    const { damaged } = await scrub(inside, LEDGER(), { signal });
    const suspects = damaged.map(({ key }) => key);
    await repairVault(inside, { dryRun: false, suspects, ...options }, { signal });
  }

  async #heal(store: MemoryObjectStore): Promise<void> {
    await scrub((await this.open(store)).inside, LEDGER(), { signal });
    await backUp(await this.open(store), this.#disk, { vm: { ...VM, vmId: 'healer' } });
  }

  async #backup(vault: Vault): Promise<string> {
    return faultOr(async () => {
      await using writer = await vault.beginPoint({ vmId: 'new', vmName: 'new' }, signal);
      return writer.parent === undefined ? '' : 'a parent from nowhere';
    });
  }

  async #isWhole(store: MemoryObjectStore): Promise<boolean> {
    const outcome = await faultOr(async () => {
      const vault = await this.open(store);
      const list = await vault.points(signal, VM.vmId);
      const others = await vault.points(signal, 'another');
      const isListed = list.map(({ id }) => id).join() === this.#points.map(({ id }) => id).join();
      if (!isListed || others.length > 0 || (await this.restore(store, vault)) !== 'same') {
        return 'no';
      }
      for (const { id } of list) {
        if (!(await vault.verify(id, 3, { signal })).ok) {
          return 'no';
        }
      }
      return (await this.#backup(vault)) === '' && (await this.#knowsAll(vault)) ? '' : 'no';
    });
    return outcome === '';
  }

  /** Condemned and damaged slots and aliases are known as they were. */
  async #knowsAll(vault: Vault): Promise<boolean> {
    const { base, log } = vault.inside;
    const excluded = new ExcludedSlots(base, log);
    await excluded.readCondemned(signal);
    const damaged = new DamagedSlots(base, log);
    await damaged.read(signal);
    const aliases = new Aliases(base, log);
    await aliases.read(signal);
    return (
      excluded.condemned.has(this.#named.condemned, 0) &&
      damaged.has(this.#named.damaged, 0) &&
      aliases.of({ ulid: this.#named.alias, slot: 1 }).length === 1
    );
  }
}

/** Returns the code of a fault; any other error is a bug and thrown. */
async function faultOr(work: () => Promise<string>): Promise<string> {
  try {
    return await work();
  } catch (error) {
    if (isFault(error)) {
      return error.code;
    }
    throw error;
  }
}
