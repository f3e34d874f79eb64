import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { startMinio } from '../../../scripts/setup/minio.mjs';
import { CollectorRows } from '../../../src/catalog/collector-rows.ts';
import { openCatalog } from '../../../src/catalog/database/catalog-source.ts';
import type { RegisteredVaults } from '../../../src/catalog/registered-vaults.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { mapAtOnce } from '../../../src/kernel/waiting/map-at-once.ts';
import { Collecting, type CollectorLook } from '../../../src/records/collecting.ts';
import type { Floors } from '../../../src/records/floors.ts';
import { newUlid } from '../../../src/vault/bytes/ulid.ts';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import type { PointDocument } from '../../../src/vault/points/point-object.ts';
import { Vault } from '../../../src/vault/vault.ts';
import { assumeRole, policyOf } from '../../support/s3/s3-role.ts';
import { createDatabase } from '../../support/service/database.ts';
import { MemoryObjectStore } from '../../support/vault/memory-object-store.ts';
import { createVault, PASSPHRASE, signal } from '../../support/vault/vault-lab.ts';

export const HOST = '0b8f6a54-6c1e-4d8e-9f2b-1c2d3e4f5a6b';
export const OTHER = 'ffffffff-6c1e-4d8e-9f2b-1c2d3e4f5a6b';
const COLLECTOR = 'cccccccc-6c1e-4d8e-9f2b-1c2d3e4f5a6b';
export const VM = 'shop';
const RETENTION = 'only for the one who retires';
const BUCKET = 'attacks';
export const DAY_MS = 86_400_000;
const FLOORS: Floors = { points: 3, youngMs: 7 * DAY_MS, dailyShare: 0.25 };
/** One a day, from so many days ago until a week ago, and two of this week. */
const AGES = [19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 3, 1];
/** A quarter of the twelve that are old enough. */
export const DAILY = 3;

const byPassphrase = { kind: 'passphrase', passphrase: PASSPHRASE } as const;

export function document(over: Partial<PointDocument> = {}): PointDocument {
  const takenAtMs = over.takenAtMs ?? Date.now();
  return {
    ...{ id: newUlid(takenAtMs), vmId: VM, vmName: 'shop', takenAtMs, consistency: 'crash' },
    ...{ notes: [], configuration: {}, disks: [], files: [] },
    origin: { kind: 'policy', service: HOST, policy: 'gold', revision: 1 },
    ...over,
  };
}

export async function seal(vault: Vault, whole: PointDocument): Promise<void> {
  const { points } = vault.inside;
  await points.seal(whole, await points.put(whole, signal), signal);
}

/** What a taken-over host has. */
export interface Attacker {
  readonly vault: Vault;
  readonly store: S3ObjectStore;
  /** Points of its policies, the oldest first; the last two are young. */
  readonly own: readonly PointDocument[];
  /** What the floors keep: the first three days from a week ago, and the young. */
  readonly stay: readonly PointDocument[];
  readonly byHand: PointDocument;
  readonly ofOther: PointDocument;
}

export interface Scene extends Attacker, AsyncDisposable {
  /** One look of the collector. */
  look(): Promise<CollectorLook>;
  /** As if so much time had passed for the collector's record. */
  pass(ms: number): Promise<void>;
  /** Ids of the points that are there and were not given up. */
  standing(): Promise<Set<string>>;
  readonly collector: S3ObjectStore;
  openAsCollector(): Promise<Vault>;
}

/** A vault with its history, which every scene begins with. */
async function history(): Promise<{
  readonly objects: readonly (readonly [string, Uint8Array])[];
  readonly own: readonly PointDocument[];
  readonly byHand: PointDocument;
  readonly ofOther: PointDocument;
}> {
  const store = new MemoryObjectStore();
  const { vault } = await createVault(store, { retentionPassphrase: RETENTION });
  const now = Date.now();
  const own = AGES.map((days) => document({ takenAtMs: now - days * DAY_MS }));
  const old = now - 30 * DAY_MS;
  const byHand = document({ takenAtMs: old, origin: { kind: 'hand', service: HOST } });
  const ofOther = document({ takenAtMs: old, origin: { kind: 'policy', service: OTHER } });
  for (const whole of [...own, byHand, ofOther]) {
    await seal(vault, whole);
  }
  const objects: (readonly [string, Uint8Array])[] = [];
  for await (const { key } of store.list('', signal)) {
    objects.push([key, (await store.get(key, signal)) ?? new Uint8Array()]);
  }
  await vault.close();
  return { objects, own, byHand, ofOther };
}

/** A real store with the policies of docs/policies, and a collector with a record of its own. */
export async function attackLab() {
  const stack = new AsyncDisposableStack();
  const server = await startMinio();
  stack.defer(async () => server.stop());
  const database = await createDatabase();
  stack.defer(async () => database.drop());
  const source = await openCatalog({ url: database.url });
  stack.defer(async () => source.destroy());
  const made = await history();
  let scenes = 0;

  async function storeOf(prefix: string, role?: string): Promise<S3ObjectStore> {
    const { endpoint } = server;
    const credentials =
      role === undefined
        ? server.credentials
        : await assumeRole(server, await policyOf(role, BUCKET, prefix, HOST));
    const client = await connectS3({ endpoint, region: 'us-east-1', credentials });
    if (scenes === 0) {
      await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
      scenes += 1;
    }
    const store = new S3ObjectStore(client, { bucket: BUCKET, prefix });
    stack.defer(async () => store.close());
    return store;
  }

  const root = await storeOf('');

  async function scene(): Promise<Scene> {
    scenes += 1;
    const prefix = `v${String(scenes)}/`;
    await mapAtOnce(made.objects, 16, async ([key, object]) =>
      root.put(`${prefix}${key}`, object, signal),
    );
    const store = await storeOf(prefix, 'writer');
    const collector = await storeOf(prefix, 'collector');
    const vault = await Vault.open(store, byPassphrase, { workers: 0 }, signal);
    const openAsCollector = async (): Promise<Vault> => {
      const retention = { kind: 'passphrase', passphrase: RETENTION } as const;
      return Vault.open(collector, byPassphrase, { workers: 0, retention }, signal);
    };
    const openApart = async (): Promise<unknown> => {
      const opened = await openAsCollector();
      return {
        ...{ vault: opened, store: collector },
        [Symbol.asyncDispose]: async () => opened.close(),
      };
    };
    const rows = new CollectorRows(source);
    const host = { id: COLLECTOR, name: 'collector' };
    const clock = new SystemClock();
    const vaults = { openApart } as Pick<RegisteredVaults, 'openApart'>;
    const log = new SilentLog();
    const collecting = new Collecting({ vaults, rows, host, floors: FLOORS, clock, log });
    const look = async (): Promise<CollectorLook> => collecting.look(prefix, signal);
    // The collector has known them for as long as they are old.
    await look();
    const now = Date.now();
    const known = [...made.own, made.byHand, made.ofOther];
    for (const { id, takenAtMs } of known) {
      await source.query(
        `UPDATE collector_point SET since_ms = $1 WHERE vault_id = $2 AND point_id = $3`,
        [Math.min(takenAtMs, now), prefix, id],
      );
    }
    const { own, byHand, ofOther } = made;
    return {
      ...{ vault, store, collector, own, byHand, ofOther, look, openAsCollector },
      stay: own.slice(-5),
      pass: async (ms) => {
        await source.query(
          `UPDATE collector_point SET since_ms = since_ms - $1, given_up_ms = given_up_ms - $1
            WHERE vault_id = $2`,
          [ms, prefix],
        );
      },
      standing: async () => {
        const opened = await openAsCollector();
        const retired = await opened.inside.points.retired(signal);
        const names = await opened.inside.points.sealed(signal);
        await opened.close();
        return new Set(names.map(({ id }) => id).filter((id) => !retired.has(id)));
      },
      [Symbol.asyncDispose]: async () => vault.close(),
    };
  }

  return { scene, [Symbol.asyncDispose]: async () => stack.disposeAsync() };
}
