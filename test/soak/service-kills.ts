// npm run soak -- service-kills [--kills N] [--seed N] [--job scrub|prune|copy|repair]
//
// A real service with a real PostgreSQL cares for vaults on a real S3 server, and is killed with
// SIGKILL at N requests of each job (drawn; default 8; --kills all: at every one). After its start
// the job's row says what happened and what to do, all points are whole, and the same job, started
// again, ends well.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import type { Job } from '../../src/api/contract/jobs.ts';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { collectVault } from '../../src/vault/collect/collector.ts';
import { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import { inventory, requireDone, take } from '../support/kill/kill-job.ts';
import { copyObjects, KillLab, type KillPlace, type KillPoint } from '../support/kill/kill-lab.ts';
import { pointsOf, provePoints, snapshot } from '../support/kill/kill-trials.ts';
import { RealService } from '../support/service/real-service.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';
import { seededNumbers } from '../support/random/seeded-numbers.ts';
import { changeObject, keysOf, remove } from '../support/vault/vault-damage.ts';
import { createVault, PASSPHRASE, signal } from '../support/vault/vault-lab.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '8' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    job: { type: 'string' },
  },
});

/** A job of the service and the vault that it cares for. */
interface ServiceJob {
  readonly objects: MemoryObjectStore;
  readonly copy?: MemoryObjectStore;
  readonly route: 'scrubVault' | 'pruneVault' | 'copyVault' | 'repairVault';
  readonly body: (place: KillPlace) => object;
  /** Default: points are whole at any time. */
  readonly mendsPoints?: boolean;
  /** Returns what is there at the end, in words that are equal for equal states. */
  readonly remains: (place: KillPlace, ended: Job) => Promise<object>;
}

async function vaultWithPoints(count: number) {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store);
  const disk = new MemoryDisk(400_000);
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    disk.write(i * 50_000, seededBytes(`point ${String(i)}`, 100_000));
    ids.push(await take(vault, disk, 'web'));
  }
  return { store, vault, ids };
}

async function scrub(): Promise<ServiceJob> {
  const { store } = await vaultWithPoints(4);
  return {
    objects: store,
    route: 'scrubVault',
    body: () => ({ share: 1 }),
    remains: async (place, { result }) => {
      assert(result?.kind === 'scrub');
      const proven = result.points.map(({ packs, proven: of }) => ({ packs, proven: of }));
      return { proven, left: await inventory(place.store) };
    },
  };
}

async function prune(): Promise<ServiceJob> {
  const { store, vault, ids } = await vaultWithPoints(4);
  await vault.retire(ids[0] ?? '', signal);
  await vault.retire(ids[2] ?? '', signal);
  return {
    objects: store,
    route: 'pruneVault',
    body: () => ({ dryRun: false, youngMs: 0, liveShare: 0.95, allPointsAreListed: true }),
    remains: async (place) => {
      await requireDone(place.store);
      const left = Object.entries(await inventory(place.store));
      return Object.fromEntries(left.filter(([key]) => !/^(?:gc|alias)\//.test(key)));
    },
  };
}

/** Of a vault that was pruned, to a place with a copy of before. */
async function copy(lab: KillLab): Promise<ServiceJob> {
  const { store, vault, ids } = await vaultWithPoints(3);
  const before = new MemoryObjectStore();
  await copyObjects(store, before);
  await vault.retire(ids[0] ?? '', signal);
  await collectVault(
    vault.inside,
    { youngMs: 0, abandonedMs: 0, liveShare: 1, allPointsAreListed: true },
    { signal },
  );
  return {
    objects: store,
    copy: before,
    route: 'copyVault',
    body: (place) => ({
      dryRun: false,
      prune: true,
      to: { location: place.copy, endpoint: lab.endpoint },
    }),
    remains: async (place) => {
      const left = await inventory(place.copyStore);
      assert.deepEqual(left, await inventory(store));
      await provePoints(await snapshot(place.copyStore));
      return left;
    },
  };
}

async function repair(lab: KillLab): Promise<ServiceJob> {
  const { store } = await vaultWithPoints(3);
  const whole = new MemoryObjectStore();
  await copyObjects(store, whole);
  const lost = [(await keysOf(store, 'd/'))[0], ...(await keysOf(store, 's/')).slice(-2)];
  for (const key of lost) {
    await changeObject(store, key ?? '', remove);
  }
  return {
    objects: store,
    copy: whole,
    route: 'repairVault',
    mendsPoints: true,
    body: (place) => ({
      dryRun: false,
      copy: { location: place.copy, endpoint: lab.endpoint },
    }),
    remains: async (place) => inventory(place.store),
  };
}

const JOBS = { scrub, prune, copy, repair };

/** The service, and what is done with it in one trial after another. */
class Trials {
  readonly #lab: KillLab;
  readonly #home: string;
  #service: RealService | undefined;
  #vaults = 0;

  constructor(lab: KillLab, home: string) {
    this.#lab = lab;
    this.#home = home;
  }

  async start(): Promise<RealService> {
    const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '' } = this.#lab.environment;
    this.#service = await RealService.start(this.#home, signal, {
      AWS_ACCESS_KEY_ID,
      AWS_SECRET_ACCESS_KEY,
      AWS_REGION: 'us-east-1',
    });
    return this.#service;
  }

  async stop(): Promise<void> {
    await this.#service?.stop();
  }

  /** @param at where the service is killed; the job is started again then */
  async run(
    { objects, copy: there, route, body, mendsPoints, remains }: ServiceJob,
    at?: KillPoint,
  ): Promise<{ readonly points: readonly KillPoint[]; readonly remains: object }> {
    const place = await this.#lab.place(objects, 'plain', there);
    const name = `vault-${String(this.#vaults++)}`;
    const { gate, endpoint } = this.#lab;
    let service = this.#service ?? (await this.start());
    gate.follow();
    const registered = {
      name,
      location: place.vault,
      endpoint,
      passphrase: PASSPHRASE,
      existing: true,
    };
    await service.client.call('createVault', { body: registered }, signal);
    const request = { path: { vault: name }, body: body(place) };
    let left = at?.nth ?? 0;
    gate.follow(({ step }, moment) => {
      const isIt = step === at?.step && moment === at.moment && left-- === 0;
      if (isIt) {
        service.shoot();
      }
      return isIt;
    });
    if (at !== undefined) {
      // Its answer may be lost when the service dies at the first request of the job.
      await Promise.allSettled([service.client.call(route, request, signal), service.gone()]);
      gate.follow();
      service = await this.start();
      const [job] = (await service.client.call('listJobs', {}, signal)).jobs;
      assert.equal(job?.kind, route.replace('Vault', ''));
      assert.equal(job.state, 'interrupted');
      assert.equal(job.fault?.code, 'job.interrupted');
      assert(job.fault.message.includes('Start it again'));
      if (mendsPoints !== true) {
        await provePoints(await snapshot(place.store));
      }
    }
    const { id } = await service.client.call(route, request, signal);
    const ended = await service.ended({ id }, signal);
    assert.equal(ended.state, 'succeeded', JSON.stringify(ended.fault));
    const points = pointsOf(await gate.seen());
    await provePoints(await snapshot(place.store));
    const result = await remains(place, ended);
    await service.client.call('forgetVault', { path: { vault: name } }, signal);
    return { points, remains: result };
  }
}

await ensureBuild(join(import.meta.dirname, '../..'));
await using lab = await KillLab.open();
// PostgreSQL runs as another user when this is root.
await chmod(lab.folder, 0o711);
const home = join(lab.folder, 'home');
await mkdir(home);
const trials = new Trials(lab, home);
const random = seededNumbers(Number(values.seed));
console.log(`seed ${values.seed}`);

/** @returns how many kills ended badly */
async function killAt(
  name: string,
  job: ServiceJob,
  { points, remains }: Awaited<ReturnType<Trials['run']>>,
): Promise<{ readonly kills: number; readonly failed: number }> {
  const left = [...points];
  const count = values.kills === 'all' ? left.length : Number(values.kills);
  let [kills, failed] = [0, 0];
  while (kills < count && left.length > 0) {
    const [point] = left.splice(random(left.length), 1);
    try {
      assert.deepEqual((await trials.run(job, point)).remains, remains);
    } catch (error) {
      failed += 1;
      console.log(`${name}: ${JSON.stringify(point)}`, error);
    }
    kills += 1;
  }
  return { kills, failed };
}

const results = [];
try {
  for (const [name, begin] of Object.entries(JOBS)) {
    if (values.job === undefined || values.job === name) {
      const job = await begin(lab);
      const undisturbed = await trials.run(job);
      const killed = await killAt(name, job, undisturbed);
      results.push({ job: name, requests: undisturbed.points.length, ...killed });
      console.log(results.at(-1));
    }
  }
} finally {
  await trials.stop();
}
console.table(results);
process.exitCode = results.some(({ failed }) => failed > 0) ? 1 : 0;
