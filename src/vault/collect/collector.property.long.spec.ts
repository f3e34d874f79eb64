import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { seededNumbers } from '../../../test/support/random/seeded-numbers.ts';
import {
  backUp,
  createVault,
  fingerprint,
  openVault,
  restored,
  signal,
} from '../../../test/support/vault/vault-lab.ts';
import { MemoryDisk } from '../../../test/support/disk/memory-disk.ts';
import { isFault } from '../../kernel/fault.ts';
import { SilentLog } from '../../kernel/log.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { keysOf } from '../../../test/support/vault/vault-damage.ts';
import type { RecoveryPoint } from '../points/recovery-point.ts';
import type { Vault } from '../vault.ts';
import type { CollectOptions } from './collect-options.ts';
import { collectVault } from './collector.ts';
import { Holds, type Hold } from '../points/holds.ts';
import { retirePoints } from '../retention/retiring.ts';
import { revivePoint } from '../retention/reviving.ts';

const VMS = ['vm-a', 'vm-b'];
const DISK_BYTES = 400_000;
const STEPS = 30;
const PERMANENT = /^(fmt|keys|retire|gc|alias|hold)\//;

/** Death of a process: nothing catches it. */
class Died extends Error {}

interface Kept {
  readonly point: RecoveryPoint;
  readonly print: string;
}

/** A vault, two hosts that know it from different times, and what must be restored from it. */
class World {
  readonly store = new MemoryObjectStore();
  readonly hosts: Vault[] = [];
  readonly disks = new Map(VMS.map((vmId) => [vmId, new MemoryDisk(DISK_BYTES)]));
  readonly kept = new Map<string, Kept>();
  readonly retired = new Map<string, Kept>();
  readonly holds: Hold[] = [];
  readonly random: (limit: number) => number;

  constructor(seed: number) {
    this.random = seededNumbers(seed);
  }

  async start(): Promise<void> {
    const { vault } = await createVault(this.store, { parameters: { packBytes: 128 * 1024 } });
    this.hosts.push(vault, await openVault(this.store));
  }

  get host(): Vault {
    return this.hosts[this.random(2)] ?? failed();
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[this.random(Math.max(1, items.length))];
  }

  async backUp(): Promise<void> {
    const vmId = this.pick(VMS) ?? '';
    const disk = this.disks.get(vmId) ?? failed();
    for (let i = this.random(3); i >= 0; i--) {
      // From a few seeds, so that the same content recurs at other places and in the other VM.
      const content = seededBytes(`content ${this.random(6)}`, 20_000 + this.random(100_000));
      disk.write(this.random((DISK_BYTES - content.length) / 4096) * 4096, content);
    }
    const point = await backUp(this.host, disk, { vm: { vmId, vmName: vmId } });
    this.kept.set(point.id, { point, print: await fingerprint(disk.reader()) });
  }

  async retire(): Promise<void> {
    const kept = this.pick([...this.kept.values()]);
    if (kept !== undefined) {
      const { id, vmId } = kept.point;
      try {
        await retirePoints(this.host.inside, [{ vmId, id }], { signal });
      } catch (error) {
        if (isFault(error, 'vault.point-held')) {
          return;
        }
        throw error;
      }
      this.kept.delete(id);
      this.retired.set(id, kept);
    }
  }

  async hold(): Promise<void> {
    const kept = this.pick([...this.kept.values()]);
    const { base, points, log } = this.host.inside;
    const holds = new Holds(base, log);
    if (kept !== undefined && this.random(2) === 0) {
      const { id, vmId } = kept.point;
      this.holds.push(await holds.hold(points, { vmId, id }, { reason: 'test', atMs: 1 }, signal));
    } else if (this.holds.length > 0) {
      await holds.release(this.holds.shift() ?? failed(), 2, signal);
    }
  }

  async revive(): Promise<void> {
    const gone = this.pick([...this.retired.values()]);
    if (gone === undefined) {
      return;
    }
    const { id, vmId } = gone.point;
    try {
      const point = await revivePoint(this.host.inside, { vmId, id }, {}, { signal });
      this.kept.set(point.id, { point, print: gone.print });
    } catch (error) {
      if (!isFault(error, 'vault.point-condemned') && !isFault(error, 'vault.point-not-found')) {
        throw error;
      }
      // A collection removed it first.
      this.retired.delete(id);
    }
  }

  async collect(): Promise<void> {
    const dieAt = this.random(3) === 0 ? this.random(25) : Infinity;
    let step = 0;
    const options: CollectOptions = {
      youngMs: 0,
      allPointsAreListed: true,
      mergeCount: 2 + this.random(4),
      smallPackBytes: 64 * 1024,
      liveShare: this.random(2) === 0 ? 0.6 : 0.95,
      // In as many shares as possible.
      ...(this.random(3) === 0 ? { markingBytes: 0 } : {}),
      onStep: async () => {
        step += 1;
        if (step > dieAt) {
          throw new Died();
        }
      },
    };
    try {
      await collectVault(this.host.inside, options, { signal });
    } catch (error) {
      if (!(error instanceof Died)) {
        throw error;
      }
    }
  }

  async act(): Promise<string> {
    const actions = [
      'backUp',
      'backUp',
      'retire',
      'retire',
      'hold',
      'revive',
      'collect',
      'collect',
    ];
    const action = (this.pick(actions) ?? 'backUp') as 'backUp';
    await this[action]();
    return action;
  }

  /**
   * Checks that every point that was not given up is restored, by a new process and by those that
   * know the vault.
   */
  async check(): Promise<void> {
    const fresh = await openVault(this.store);
    expect((await fresh.points(signal)).map(({ id }) => id)).toEqual([...this.kept.keys()].sort());
    for (const [id, { point, print }] of this.kept) {
      expect((await fresh.verify(id, 3, { signal })).problems).toEqual([]);
      const back = await restored(this.host, point, DISK_BYTES);
      expect(await fingerprint(back.reader())).toBe(print);
    }
  }
}

function failed(): never {
  throw new Error('the test is wrong');
}

describe('collections, backups, merges and deaths in any order', () => {
  it.each([1, 2])('keep every point that was not given up (seed %d)', async (seed) => {
    const world = new World(seed);
    await world.start();
    const done: string[] = [];
    for (let step = 0; step < STEPS; step++) {
      done.push(await world.act());
      try {
        await world.check();
      } catch (error) {
        throw new Error(`after ${done.join(', ')}`, { cause: error });
      }
    }
    // Nothing is left once nothing is needed.
    const [host = failed()] = world.hosts;
    const holds = new Holds(host.inside.base, new SilentLog());
    for (const hold of world.holds) {
      await holds.release(hold, 3, signal);
    }
    for (const { point } of world.kept.values()) {
      await host.retire(point.id, signal);
    }
    await collectVault(host.inside, { youngMs: 0, allPointsAreListed: true }, { signal });
    await collectVault(host.inside, { youngMs: 0, allPointsAreListed: true }, { signal });
    expect((await keysOf(world.store)).filter((key) => !PERMANENT.test(key))).toEqual([]);
  });
});
