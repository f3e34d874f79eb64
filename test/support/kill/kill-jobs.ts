import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { collectVault } from '../../../src/vault/collect/collector.ts';
import type { CollectOptions } from '../../../src/vault/collect/collect-options.ts';
import { parsePackKey } from '../../../src/vault/format/object-names.ts';
import { DAY_MS } from '../../../src/vault/store/lock-times.ts';
import { MemoryObjectStore } from '../vault/memory-object-store.ts';
import type { CareTask } from '../../crash/vault-care-child.ts';
import { KEY_KILL_JOBS } from './kill-key-jobs.ts';
import { MEND_KILL_JOBS } from './kill-mend-jobs.ts';
import { POINT_KILL_JOBS } from './kill-point-jobs.ts';
import { largest, PACKS_SENT, requireDone, take, type BeginJob, type KillJob } from './kill-job.ts';
import { entriesOf, type KillLab, type KillPlace } from './kill-lab.ts';
import { seededBytes } from '../random/seeded-bytes.ts';
import { backUp, createVault, openVault, signal, VM } from '../vault/vault-lab.ts';

const CARE = 'test/crash/vault-care-child.ts';
const MIB = 2 ** 20;
const LOCK_DAYS = 1;
const MINUTE_MS = 60_000;
const LOCKS_PER_BATCH = 3;
/** Everything that can be tidied is. */
const ALL: CollectOptions = {
  youngMs: 0,
  mergeCount: 3,
  smallPackBytes: 100_000,
  liveShare: 0.95,
  allPointsAreListed: true,
};
/** Also removes what dead writers left, and the last dead byte. */
const LEFTOVERS: CollectOptions = {
  youngMs: 0,
  abandonedMs: 0,
  liveShare: 1,
  allPointsAreListed: true,
};

/** `rescue import`: the second point of a VM, with three new packs. */
async function importJob(lab: KillLab): Promise<KillJob> {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store, { parameters: { packBytes: MIB } });
  const disk = new MemoryDisk(16 * MIB);
  disk.write(0, seededBytes('first', MIB));
  await backUp(vault, disk, { vm: VM, diskId: randomUUID() });
  const image = Buffer.alloc(16 * MIB);
  image.set(seededBytes('first', MIB));
  image.set(seededBytes('second', 9 * MIB), 4 * MIB);
  const path = join(lab.folder, 'web.raw');
  await writeFile(path, image);
  const words = ['rescue', 'import', path, '--vm', VM.vmName, '--disk-name', 'system'];
  return {
    effort: {
      of: PACKS_SENT.of,
      // The map of a point that was not sealed. Data in the store is found again, whatever the
      // client knew.
      slack: (requests) => largest(requests.filter(({ step }) => step === 'PUT m/')),
    },
    kind: 'plain',
    objects: store,
    program: ({ vault: location }) => ({
      path: 'src/cli.ts',
      parameters: [...words, '--vault', location, '--endpoint', lab.endpoint],
    }),
    result: (place) => place.store,
    remains: async (now) => {
      const opened = await openVault(now);
      const points = await opened.points(signal);
      // Killed after the seal was put and before the client heard of it: there is one valid point
      // more.
      assert(points.length === 2 || points.length === 3);
      await collectVault(opened.inside, LEFTOVERS, { signal });
      const nothing = await collectVault(opened.inside, LEFTOVERS, { signal });
      assert.equal(nothing.removedPacks + nothing.compactedPacks + nothing.deadBytesLeft, 0);
      assert.deepEqual(nothing.condemnedLists, []);
      const entries = await entriesOf(now);
      await requireDone(now);
      const under = (start: RegExp): number => entries.filter(({ key }) => start.test(key)).length;
      const data = entries.filter(({ key }) => key.startsWith('d/'));
      return {
        'points without seal': under(/^s\//) - 2 * under(/^s\/.*ok$/),
        'points beyond these': under(/^s\/.*ok$/) - points.length,
        'MiB of data': Math.round(data.reduce((sum, { size }) => sum + size, 0) / MIB),
      };
    },
  };
}

/** A collection that removes, compacts and merges. */
async function collectJob(lab: KillLab): Promise<KillJob> {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store, { parameters: { packBytes: MIB } });
  const large = new MemoryDisk(500_000);
  large.write(0, seededBytes('large', 450_000));
  const before = await take(vault, large, 'large');
  large.write(200_000, seededBytes('changed', 250_000));
  await take(vault, large, 'large');
  const small = new MemoryDisk(200_000);
  for (let i = 0; i < 3; i++) {
    small.write(i * 40_000, seededBytes(`small ${String(i)}`, 20_000));
    await take(vault, small, 'small');
  }
  const disk = new MemoryDisk(100_000);
  disk.write(0, seededBytes('gone', 90_000));
  const gone = await take(vault, disk, 'gone');
  await vault.retire(before, signal);
  await vault.retire(gone, signal);
  const known = new Set((await entriesOf(store)).map(({ key }) => parsePackKey(key)?.ulid));
  return {
    effort: PACKS_SENT,
    kind: 'plain',
    objects: store,
    program: care(({ vault: location }) => ({
      job: 'collect',
      options: ALL,
      vault: location,
      endpoint: lab.endpoint,
    })),
    result: (place) => place.store,
    remains: async (now) => {
      await requireDone(now);
      const remains: Record<string, number> = {};
      for (const { key, size } of await entriesOf(now)) {
        const pack = parsePackKey(key);
        if (pack !== undefined) {
          const which = known.has(pack.ulid) ? `${pack.ulid}.${String(pack.generation)}` : 'merged';
          remains[`${pack.kind} ${which}`] = size;
        } else if (!/^(?:gc|alias)\//.test(key)) {
          // Those two stay for ever: a run that died may have left one more of each.
          remains[key] = size;
        }
      }
      return remains;
    },
  };
}

/** `rescue copy` of a vault with several points into an empty place. */
async function copyJob(lab: KillLab): Promise<KillJob> {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(4 * MIB);
  for (let i = 0; i < 3; i++) {
    disk.write(i * MIB, seededBytes(`copied ${String(i)}`, MIB));
    await take(vault, disk, 'copied');
  }
  return {
    effort: PACKS_SENT,
    kind: 'plain',
    objects: store,
    program: ({ vault: from, copy: to }) => ({
      path: 'src/cli.ts',
      parameters: [
        ...['rescue', 'copy', '--from', from, '--from-endpoint', lab.endpoint],
        ...['--to', to, '--to-endpoint', lab.endpoint],
      ],
    }),
    result: (place) => place.copyStore,
    remains: async (now) =>
      Object.fromEntries((await entriesOf(now)).map(({ key, size }) => [key, size])),
  };
}

/** A keeper of a bucket with object lock; the vault's objects are not locked before. */
async function keepJob(lab: KillLab): Promise<KillJob> {
  const { store } = await lab.place(undefined, 'locked');
  const { vault } = await createVault(store, {
    lock: { mode: 'governance', days: LOCK_DAYS },
    probe: { largeBytes: 1000, lockMs: 4000 },
  });
  const disk = new MemoryDisk(MIB);
  disk.write(0, seededBytes('not needed', 300_000));
  const retired = await take(vault, disk, 'kept');
  for (let i = 0; i < 2; i++) {
    disk.write(0, seededBytes(`needed ${String(i)}`, 300_000));
    await take(vault, disk, 'kept');
  }
  await vault.retire(retired, signal);
  return {
    kind: 'locked',
    objects: store,
    program: care(({ vault: location }) => ({
      job: 'keep',
      batch: LOCKS_PER_BATCH,
      vault: location,
      endpoint: lab.endpoint,
    })),
    effort: {
      of: (requests) => requests.filter(({ step }) => step.startsWith('LOCK ')).length,
      slack: () => LOCKS_PER_BATCH,
    },
    result: (place) => place.store,
    remains: async (now, place) => {
      const remains: Record<string, number> = {};
      const leastMs = Date.now() + (LOCK_DAYS + 45) * DAY_MS - 10 * MINUTE_MS;
      for (const { key, size } of await entriesOf(now)) {
        if (key.startsWith('keep/')) {
          remains['keep'] = (remains['keep'] ?? 0) + 1;
          continue;
        }
        const lock = await place.store.features.lockOf({ key }, signal);
        assert(lock === undefined || lock.untilMs > leastMs);
        remains[`${lock === undefined ? 'free' : 'locked'} ${key}`] = size;
      }
      return remains;
    },
  };
}

function care(task: (place: KillPlace) => CareTask): KillJob['program'] {
  return (place) => ({ path: CARE, parameters: [JSON.stringify(task(place))] });
}

/** What can be killed, by name; each makes a vault to work on. */
export const KILL_JOBS = {
  import: importJob,
  collect: collectJob,
  copy: copyJob,
  keep: keepJob,
  ...MEND_KILL_JOBS,
  ...POINT_KILL_JOBS,
  ...KEY_KILL_JOBS,
} satisfies Record<string, BeginJob>;
