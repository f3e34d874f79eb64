import assert from 'node:assert/strict';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { collectVault } from '../../../src/vault/collect/collector.ts';
import type { CollectOptions } from '../../../src/vault/collect/collect-options.ts';
import { Holds } from '../../../src/vault/points/holds.ts';
import { MemoryObjectStore } from '../vault/memory-object-store.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { inventory, rescue, take, type BeginJob, type KillJob } from './kill-job.ts';
import { copyObjects, type KillLab } from './kill-lab.ts';
import { seededBytes } from '../random/seeded-bytes.ts';
import { createVault, openVault, signal } from '../vault/vault-lab.ts';

const NOT_FOUND = 4;
/** Spares nothing because it is young, and no single byte. */
const ALL: CollectOptions = {
  youngMs: 0,
  abandonedMs: 0,
  liveShare: 1,
  allPointsAreListed: true,
};

async function vaultWithPoints(
  count: number,
): Promise<{ store: MemoryObjectStore; vault: Vault; ids: string[] }> {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(300_000);
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    disk.write(i * 50_000, seededBytes(`point ${String(i)}`, 100_000));
    ids.push(await take(vault, disk, 'web'));
  }
  return { store, vault, ids };
}

/** `rescue retire` of three points at once. */
async function retire(lab: KillLab): Promise<KillJob> {
  const { store, ids } = await vaultWithPoints(4);
  return {
    kind: 'plain',
    objects: store,
    program: ({ vault: location }) =>
      rescue([
        ...['retire', ...ids.slice(0, 3), '--yes'],
        ...['--vault', location, '--endpoint', lab.endpoint],
      ]),
    result: (place) => place.store,
    remains: inventory,
  };
}

/** `rescue hold` of a point. */
async function hold(lab: KillLab): Promise<KillJob> {
  const { store, ids } = await vaultWithPoints(2);
  return {
    kind: 'plain',
    objects: store,
    program: ({ vault: location }) =>
      rescue([
        ...['hold', ids[0] ?? '', '--reason', 'kept'],
        ...['--vault', location, '--endpoint', lab.endpoint],
      ]),
    result: (place) => place.store,
    remains: async (now) => {
      const { inside } = await openVault(now);
      const holds = await new Holds(inside.base, inside.log).list(signal);
      // Killed after the hold was put and before the client heard of it: there is one more, and a
      // release ends both.
      assert(holds.length > 0);
      const held = Object.fromEntries(holds.map(({ id }) => [`held ${id}`, 1]));
      const all = Object.entries(await inventory(now));
      return { ...held, ...Object.fromEntries(all.filter(([key]) => !key.startsWith('hold/'))) };
    },
  };
}

/** `rescue hold --release` of a point that is held twice. */
async function release(lab: KillLab): Promise<KillJob> {
  const { store, vault, ids } = await vaultWithPoints(2);
  const { base, points, log } = vault.inside;
  const [id = ''] = ids;
  for (const reason of ['one', 'two']) {
    await new Holds(base, log).hold(points, { vmId: 'web', id }, { reason, atMs: 1 }, signal);
  }
  const words = ['hold', id, '--release', '--yes'];
  const program: KillJob['program'] = ({ vault: location }) =>
    rescue([...words, '--vault', location, '--endpoint', lab.endpoint], {
      exitCodes: [NOT_FOUND],
    });
  return {
    kind: 'plain',
    objects: store,
    program,
    result: (place) => place.store,
    remains: inventory,
  };
}

/** `rescue revive` of a point. */
async function revive(lab: KillLab): Promise<KillJob> {
  const { store, vault, ids } = await vaultWithPoints(2);
  const [id = ''] = ids;
  await vault.retire(id, signal);
  return {
    kind: 'plain',
    objects: store,
    program: ({ vault: location }) =>
      rescue(['revive', id, '--vault', location, '--endpoint', lab.endpoint]),
    result: (place) => place.store,
    remains: async (now) => {
      const opened = await openVault(now);
      const points = await opened.points(signal);
      // Killed after the seal was put and before the client heard of it: there is one valid point
      // more.
      assert(points.length === 2 || points.length === 3);
      await collectVault(opened.inside, ALL, { signal });
      const left = Object.entries(await inventory(now));
      const sealed = left.filter(([key]) => key.startsWith('s/') && key.endsWith('.ok'));
      assert.equal(sealed.length, points.length);
      return {
        'points without seal':
          left.filter(([key]) => key.startsWith('s/')).length - 2 * sealed.length,
        // Points of a dead run that a collection gave up are never removed.
        ...Object.fromEntries(left.filter(([key]) => !/^(?:s|gc|retire)\//.test(key))),
      };
    },
  };
}

/** `rescue copy --prune`: the vault was collected, the copy was not. */
async function copyPrune(lab: KillLab): Promise<KillJob> {
  const { store, vault, ids } = await vaultWithPoints(3);
  const copy = new MemoryObjectStore();
  await copyObjects(store, copy);
  await vault.retire(ids[0] ?? '', signal);
  await vault.retire(ids[1] ?? '', signal);
  const { removedPacks, compactedPacks } = await collectVault(vault.inside, ALL, { signal });
  assert(removedPacks > 0 && compactedPacks > 0);
  return {
    kind: 'plain',
    objects: store,
    copy,
    program: ({ vault: from, copy: to }) =>
      rescue([
        ...['copy', '--from', from, '--from-endpoint', lab.endpoint, '--prune', '--yes'],
        ...['--to', to, '--to-endpoint', lab.endpoint],
      ]),
    result: (place) => place.copyStore,
    remains: async (now) => {
      const left = await inventory(now);
      assert.deepEqual(left, await inventory(store));
      return left;
    },
  };
}

export const POINT_KILL_JOBS = {
  retire,
  hold,
  release,
  revive,
  'copy-prune': copyPrune,
} satisfies Record<string, BeginJob>;
