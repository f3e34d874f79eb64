import { isFault } from '../../src/kernel/fault.ts';
import { collectVault } from '../../src/vault/collect/collector.ts';
import { Holds } from '../../src/vault/points/holds.ts';
import { retirePoints } from '../../src/vault/retention/retiring.ts';
import { revivePoint } from '../../src/vault/retention/reviving.ts';
import { encodeControl } from '../../src/vault/control/control-object.ts';
import {
  numberedKey,
  parsePackKey,
  PREFIXES,
  retireKey,
} from '../../src/vault/format/object-names.ts';
import type { ObjectStore } from '../../src/vault/store/object-store.ts';
import { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import { RetryingObjectStore } from '../../src/vault/object-stores/retrying.ts';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { SlotSet } from '../../src/vault/slots/slot-set.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { seededNumbers } from '../support/random/seeded-numbers.ts';
import { NO_FAULTS, Scheduler, type FaultRates } from '../support/simulated-store/scheduler.ts';
import { SimulatedObjectStore } from '../support/simulated-store/simulated-object-store.ts';
import { forgePack, otherContent } from '../proof/forgery.ts';
import { fixChance } from './fixed-chance.ts';
import { BLINDED, MutantStore, type Mutant } from './mutant-store.ts';
import {
  blankImage,
  CountingLog,
  changesBetween,
  diskOf,
  DISKS,
  drawContent,
  firstDifference,
  openVault,
  SkewedClock,
  START_MS,
  type Image,
  type PreparedVault,
} from './lab.ts';

const DAY_MS = 86_400_000;

interface Promised {
  readonly vmId: string;
  readonly id: string;
  readonly image: Image;
}

export interface ScheduleResult {
  readonly seed: number;
  readonly problems: readonly string[];
  readonly history: readonly string[];
  readonly requests: number;
  readonly points: number;
  readonly checked: number;
  readonly happened: ReadonlyMap<string, number>;
}

/** Runs one schedule: everything in it follows from the seed. */
export async function runSchedule(
  prepared: PreparedVault,
  seed: number,
  mutant?: Mutant,
): Promise<ScheduleResult> {
  fixChance(`schedule ${String(seed)}`);
  return new Schedule(prepared, seed, mutant).run();
}

class Schedule {
  /** A signal per schedule: killed workers never remove their listeners from it. */
  readonly #signal = new AbortController().signal;
  readonly #seed: number;
  readonly #key: Uint8Array;
  readonly #random: (limit: number) => number;
  readonly #scheduler: Scheduler;
  readonly #mutant: Mutant | undefined;
  readonly #problems: string[] = [];
  /** Points whose backup reported success, by id. */
  readonly #promised = new Map<string, Promised>();
  /** What every attempt wanted to store, by its note: sealed points may come from dead writers. */
  readonly #attempts = new Map<string, Image>();
  /** Points that somebody began to retire. */
  readonly #retired = new Set<string>();
  readonly #held = new Set<string>();
  readonly #happened = new Map<string, number>();
  readonly #log = new CountingLog((event) => {
    this.#count(event);
  });
  #clients = 0;
  #running = 0;
  #deaths = 0;

  constructor({ bucket, key }: PreparedVault, seed: number, mutant: Mutant | undefined) {
    this.#seed = seed;
    this.#key = key;
    this.#mutant = mutant;
    this.#random = seededNumbers(seed);
    this.#scheduler = new Scheduler({
      bucket: bucket.copy(),
      random: this.#random,
      faults: this.#drawFaults(),
    });
  }

  async run(): Promise<ScheduleResult> {
    const random = this.#random;
    const vms = 1 + random(3);
    for (let vm = 0; vm < vms; vm++) {
      this.#start('writer', (store) => this.#write(store, `vm-${String(vm)}`, 1 + random(4)));
    }
    for (let count = random(4); count > 0; count--) {
      this.#start('collector', (store) => this.#collect(store, 1 + random(4)));
    }
    for (let count = 1 + random(2); count > 0; count--) {
      this.#start('operator', (store) => this.#operate(store, 1 + random(4)));
    }
    if (random(2) === 0) {
      this.#start('reader', (store) => this.#read(store, 1 + random(3)));
    }
    await this.#advance();
    // Peace: what is left is collected once more, and everything must be there before and after.
    this.#scheduler.faults = NO_FAULTS;
    this.#scheduler.settleGhosts();
    await this.#check('after all');
    this.#start('collector', (store) => this.#collect(store, 2));
    this.#start('writer', (store) => this.#write(store, 'vm-0', 1));
    await this.#advance();
    await this.#check('after a last collection');
    this.#problems.push(...this.#scheduler.bucket.brokenRules.map(({ message }) => message));
    return {
      seed: this.#seed,
      problems: this.#problems,
      history: this.#scheduler.history,
      requests: this.#scheduler.steps,
      points: this.#promised.size,
      checked: [...this.#promised.keys()].filter((id) => !this.#retired.has(id)).length,
      happened: this.#happened,
    };
  }

  #count(event: string, count = 1): void {
    if (count > 0) {
      this.#happened.set(event, (this.#happened.get(event) ?? 0) + count);
    }
  }

  #drawFaults(): FaultRates {
    const rate = [0, 0.002, 0.02, 0.08][this.#random(4)] ?? 0;
    return { lost: rate, unanswered: rate, late: rate / 2, truncated: rate / 2, denied: rate };
  }

  /** A machine of its own: with its clock, its caches and its way to the store. */
  #start(role: string, work: (store: ObjectStore) => Promise<void>): void {
    const client = `${role}-${String(this.#clients++)}`;
    const pageSize = 1 + this.#random(6);
    const store = new RetryingObjectStore(
      new SimulatedObjectStore(this.#scheduler, { client, pageSize }),
      {
        patienceMs: 12,
        firstDelayMs: 1,
        clock: new SkewedClock(0),
        wait: async () => undefined,
        chance: () => 1,
      },
    );
    this.#running += 1;
    const state = { ended: false };
    work(store)
      .catch((error: unknown) => {
        this.#endOf(client, role, error);
      })
      .finally(() => {
        if (!state.ended && !this.#scheduler.isDead(client)) {
          this.#running -= 1;
        }
        state.ended = true;
      })
      .catch((error: unknown) => this.#problems.push(`${client}: ${String(error)}`));
    this.#alive.set(client, () => {
      if (!state.ended) {
        this.#scheduler.kill(client);
        this.#running -= 1;
        this.#deaths += 1;
        this.#count(`${role} died`);
        // Somebody starts the same again.
        if (this.#random(3) > 0) {
          this.#start(role, work);
        }
      }
    });
  }

  readonly #alive = new Map<string, () => void>();

  async #advance(deathRate = [0, 0, 300, 100][this.#random(4)] ?? 0): Promise<void> {
    const hangs = !(await this.#scheduler.run(
      () => this.#running === 0,
      () => {
        if (deathRate > 0 && this.#deaths < 4 && this.#random(deathRate) === 0) {
          const clients = [...this.#alive];
          const [client, die] = clients[this.#random(clients.length)] ?? [];
          if (client !== undefined) {
            this.#alive.delete(client);
            die?.();
          }
        }
      },
    ));
    if (hangs) {
      this.#problems.push(
        `nothing moves any more, ${String(this.#running)} clients have not ended`,
      );
    }
    this.#alive.clear();
  }

  #endOf(client: string, role: string, error: unknown): void {
    const code = isFault(error) ? error.code : String(error);
    this.#count(`${role} ended by ${code}`);
    const expected = ['store.unreachable', 'store.denied', 'vault.conflict', 'vault.point-retired'];
    const collector = ['vault.collect-unsure'];
    if (!expected.includes(code) && !(role === 'collector' && collector.includes(code))) {
      const stack = Error.isError(error) ? (error.stack ?? error.message) : '';
      this.#problems.push(`${client} ended with ${code}: ${stack}`);
    }
  }

  #clock(): SkewedClock {
    return new SkewedClock(START_MS + (this.#random(21) - 10) * DAY_MS);
  }

  async #open(store: ObjectStore, role: 'writer' | 'collector' | 'other'): Promise<Vault> {
    const mutant = this.#mutant;
    const isBlind = mutant !== undefined && BLINDED[mutant] === role;
    const seen = isBlind ? new MutantStore(store, mutant) : store;
    return openVault(seen, this.#key, {
      clock: this.#clock(),
      log: this.#log,
      signal: this.#signal,
    });
  }

  async #write(store: ObjectStore, vmId: string, backups: number): Promise<void> {
    // A slow seal: the time between W1 and W3 is short otherwise.
    const put = store.put.bind(store);
    store.put = async (key, ...rest) => {
      await this.#linger(store, key.endsWith('.ok') && this.#random(3) === 0 ? 60 : 1);
      return put(key, ...rest);
    };
    const vault = await this.#open(store, 'writer');
    const image = this.#lastImage(vmId);
    for (let backup = 0; backup < backups; backup++) {
      for (let change = this.#random(8); change >= 0; change--) {
        const disk = image[this.#random(DISKS)] ?? [];
        disk[this.#random(disk.length)] = drawContent(this.#random);
      }
      await this.#backUp(
        { vault, store },
        vmId,
        image.map((disk) => [...disk]),
      );
    }
  }

  /** Requests without any use, during which others go on. */
  async #linger(store: ObjectStore, requestsMax: number): Promise<void> {
    for (let left = this.#random(requestsMax); left > 0; left--) {
      await store.get('fmt/none', this.#signal);
    }
  }

  #lastImage(vmId: string): number[][] {
    const last = [...this.#promised.values()].findLast((point) => point.vmId === vmId);
    return last === undefined ? blankImage() : last.image.map((disk) => [...disk]);
  }

  async #backUp(
    { vault, store }: { vault: Vault; store: ObjectStore },
    vmId: string,
    image: Image,
  ): Promise<void> {
    const note = `attempt ${String(this.#attempts.size)}`;
    this.#attempts.set(note, image);
    await using writer = await vault.beginPoint({ vmId, vmName: vmId }, this.#signal);
    const parentNote = writer.parent?.notes[0] ?? '';
    const before = this.#attempts.get(parentNote);
    for (const [index, contents] of image.entries()) {
      const disk = diskOf(contents);
      const isTracked = before !== undefined && this.#random(3) > 0;
      await writer.addDisk(
        {
          diskId: `disk-${String(index)}`,
          name: `disk ${String(index)}`,
          sizeBytes: disk.size,
          reader: disk.reader(),
          changes: isTracked
            ? { method: 'changed-extents', extents: changesBetween(before[index] ?? [], contents) }
            : { method: 'full', reason: 'requested' },
        },
        { signal: this.#signal },
      );
    }
    await this.#linger(store, this.#random(3) === 0 ? 80 : 1);
    const facts = { takenAtMs: 1, consistency: 'crash', notes: [note], configuration: {} } as const;
    const point = await writer.commit(facts, this.#signal);
    this.#promised.set(point.id, { vmId, id: point.id, image });
    if (this.#scheduler.bucket.get(retireKey(vmId, point.id)) !== undefined) {
      this.#problems.push(`success was reported for ${point.id}, which is retired`);
    }
  }

  async #collect(store: ObjectStore, runs: number): Promise<void> {
    const vault = await this.#open(store, 'collector');
    for (let run = 0; run < runs; run++) {
      const report = await collectVault(
        vault.inside,
        {
          youngMs: 0,
          // The lists of this store are true, and what the machines remember is not what is tried
          // here.
          allPointsAreListed: true,
          abandonedMs: this.#random(2) === 0 ? 0 : 7 * DAY_MS,
          liveShare: this.#random(2) === 0 ? 1 : 0.6,
          smallPackBytes: this.#random(2) === 0 ? 64 * 1024 : 0,
          mergeCount: 2,
          ...(this.#random(4) === 0 ? { markingBytes: 0 } : {}),
        },
        { signal: this.#signal },
      );
      this.#count('collection: damaged pack met', report.damagedPacks.length);
      this.#count('collection: pack removed', report.removedPacks);
      this.#count('collection: pack compacted', report.compactedPacks);
      this.#count('collection: pack merged', report.mergedPacks);
      this.#count('collection: point given up', report.givenUpPoints.length);
      this.#count('collection: list of a dead one carried out', report.carriedOutLists.length);
    }
  }

  /** Retires, holds and revives promised points. */
  async #operate(store: ObjectStore, deeds: number): Promise<void> {
    const vault = await this.#open(store, 'other');
    for (let deed = 0; deed < deeds; deed++) {
      await this.#linger(store, 25);
      const points = [...this.#promised.values()];
      const point = points[this.#random(points.length)];
      if (point === undefined) {
        continue;
      }
      try {
        await this.#deed(vault, point);
      } catch (error) {
        const expected = [
          'vault.point-not-found',
          'vault.point-held',
          'vault.point-condemned',
          'vault.point-retired',
          'request.invalid',
        ];
        if (!isFault(error) || !expected.includes(error.code)) {
          throw error;
        }
        this.#count(`operator met ${error.code}`);
      }
    }
  }

  async #deed(vault: Vault, point: Promised): Promise<void> {
    const { inside } = vault;
    const name = { vmId: point.vmId, id: point.id };
    switch (this.#random(7)) {
      case 0: {
        await new Holds(inside.base, inside.log).hold(
          inside.points,
          name,
          { reason: 'torture', atMs: 1 },
          this.#signal,
        );
        this.#held.add(point.id);
        this.#count('point held');
        return;
      }
      case 1: {
        const revived = await revivePoint(inside, name, {}, { signal: this.#signal });
        this.#count('point revived');
        this.#promised.set(revived.id, { vmId: point.vmId, id: revived.id, image: point.image });
        return;
      }
      case 2:
      case 3:
        await this.#report(vault);
        return;
      default:
        this.#retired.add(point.id);
        await retirePoints(inside, [name], { signal: this.#signal });
        this.#count('point retired');
    }
  }

  /**
   * Reports an undamaged pack as damaged, as a scrub might: backups read and store its content
   * again, aliases lead there, and meanwhile everything must stay as it is.
   */
  async #report({ inside: { base } }: Vault): Promise<void> {
    const packs = this.#scheduler.bucket.page(this.#random(2) === 0 ? 'm/' : 'd/', '', 100);
    const pack = parsePackKey(packs[this.#random(packs.length)]?.key ?? '');
    if (pack === undefined) {
      return;
    }
    const slots = new SlotSet();
    const first = this.#random(3);
    slots.add(pack.ulid, [{ first, count: 1 + this.#random(4) }]);
    const key = numberedKey(PREFIXES.damaged, 1);
    await base.store.put(key, encodeControl(base.keys, 'bad', key, slots.encode()), this.#signal);
    this.#count('damage reported');
  }

  /** Restores while all the others work; points retired meanwhile may fail. */
  async #read(store: ObjectStore, restores: number): Promise<void> {
    const vault = await this.#open(store, 'other');
    for (let restore = 0; restore < restores; restore++) {
      await this.#linger(store, 40);
      const points = [...this.#promised.values()].filter(({ id }) => !this.#retired.has(id));
      const point = points[this.#random(points.length)];
      if (point === undefined) {
        continue;
      }
      try {
        await this.#restore(vault, point, 'meanwhile');
      } catch (error) {
        if (isFault(error, 'store.unreachable')) {
          throw error;
        }
        if (!this.#retired.has(point.id)) {
          this.#problems.push(`${point.id} could not be read meanwhile: ${describe(error)}`);
        }
      }
    }
  }

  async #restore(vault: Vault, { id, image }: Promised, when: string): Promise<void> {
    for (const [index, contents] of image.entries()) {
      const disk = new MemoryDisk(diskOf(contents).size);
      await vault.restoreDisk({ pointId: id, diskId: `disk-${String(index)}` }, disk.writer(), {
        signal: this.#signal,
      });
      const sector = firstDifference(disk, contents);
      if (sector !== undefined) {
        this.#problems.push(
          `${id} ${when}: sector ${String(sector)} of disk ${String(index)} is wrong`,
        );
      }
    }
  }

  /**
   * Other content under the same ids in every data pack, as somebody with the key could write it.
   */
  async #forge(vault: Vault): Promise<void> {
    const { bucket } = this.#scheduler;
    for (const { key } of bucket.page('d/', '', Infinity)) {
      const scratch = new MemoryObjectStore();
      const object = bucket.get(key);
      if (object !== undefined) {
        await scratch.put(key, object, this.#signal);
        await forgePack(vault, scratch, key, { forge: otherContent() });
        bucket.spoil(key, (await scratch.get(key, this.#signal)) ?? object);
      }
    }
  }

  /** Expects that verify at its deepest and a restore agree. */
  async #verify(vault: Vault, id: string, when: string, isRestored: boolean): Promise<void> {
    const { ok, level, problems } = await vault.verify(id, 3, { signal: this.#signal });
    if (level !== 3) {
      this.#problems.push(`${id} ${when}: verify reached level ${String(level)} only`);
    }
    if (!ok) {
      const said = problems.map(({ code }) => code).join(', ');
      this.#problems.push(`${id} ${when}: verify finds ${said}`);
    }
    if (ok && !isRestored) {
      this.#problems.push(`${id} ${when}: verify finds nothing in what cannot be restored`);
    }
    this.#count('point verified');
  }

  /** A fresh reader finds every point that was promised, and every point that it finds is whole. */
  async #check(when: string): Promise<void> {
    this.#start('check', async (store) => {
      const vault = await openVault(store, this.#key, {
        clock: this.#clock(),
        log: this.#log,
        signal: this.#signal,
      });
      if (this.#mutant === 'wrong-chunk') {
        await this.#forge(vault);
      }
      const found = await vault.points(this.#signal);
      const ids = new Set(found.map(({ id }) => id));
      for (const { id } of this.#promised.values()) {
        if (!ids.has(id) && !this.#retired.has(id)) {
          this.#problems.push(`${id} ${when}: its success was reported, and it is not there`);
        }
      }
      for (const { id, vmId, notes } of found) {
        const image = this.#promised.get(id)?.image ?? this.#attempts.get(notes[0] ?? '');
        if (image === undefined) {
          continue;
        }
        const before = this.#problems.length;
        try {
          await this.#restore(vault, { id, vmId, image }, when);
        } catch (error) {
          this.#problems.push(`${id} ${when}: ${describe(error)}`);
        }
        await this.#verify(vault, id, when, this.#problems.length === before);
      }
    });
    await this.#advance(0);
  }
}

function describe(error: unknown): string {
  return isFault(error) ? `${error.code}: ${error.message}` : String(error);
}
