import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild } from '../../../scripts/setup/build.mjs';
import { connectS3 } from '../../../src/vault/object-stores/s3/client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3/s3-object-store.ts';
import { Vault } from '../../../src/vault/vault.ts';
import { seededNumbers } from '../random/seeded-numbers.ts';
import { openS3TestServer, type S3TestServer } from '../s3/minio.ts';
import { S3Gate, type GateRequest } from '../s3/s3-gate.ts';
import { createDatabase, type TestDatabase } from '../service/database.ts';
import { ALL_HOSTS, Home, hostLimit } from './home.ts';
import { Kills, type KillStep } from './kills.ts';
import { LimitsWatch } from './limits-watch.ts';
import type { RunEvidence } from './findings.ts';

const PASSPHRASE = 'a passphrase for three homes';
const PREFIX = 'homes';
const VAULT = 'main';
export const POLICY = 'everything';
/** Below what the hosts could do together. */
/** Shorter than the distance of two fire times: else a run may be due just before the next one. */
const JITTER = '10m';
const POLICY_AT_ONCE = 3;
const HOST_AT_ONCE = 2;
const POINT = /\/s\/(?<vm>[^/]+)\/[^/.]+(?<end>[.]ok)?$/;
const ENDS = ['sealed', 'skipped', 'failed'];
const { signal } = new AbortController();

export interface HomesOptions {
  readonly homes: number;
  /** Fake ones of each home. */
  readonly vms: number;
  readonly seed: number;
}

/** Several services on one database and one S3 server, each of which can be killed at a step. */
export class HomesLab implements AsyncDisposable {
  readonly folder: string;
  readonly homes: Home[] = [];
  readonly limits: LimitsWatch;
  readonly kills: Kills<Home>;
  readonly random: (limit: number) => number;
  readonly database: TestDatabase;
  readonly #s3: S3TestServer;
  readonly #gate: S3Gate;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    folder: string,
    random: (limit: number) => number,
    parts: { limits: LimitsWatch; database: TestDatabase; s3: S3TestServer; gate: S3Gate },
    stack: AsyncDisposableStack,
  ) {
    this.folder = folder;
    this.random = random;
    this.limits = parts.limits;
    this.database = parts.database;
    this.#s3 = parts.s3;
    this.#gate = parts.gate;
    this.#stack = stack;
    this.kills = new Kills((home) => {
      home.shoot();
    });
  }

  static async open({ homes, vms, seed }: HomesOptions): Promise<HomesLab> {
    await ensureBuild(join(import.meta.dirname, '../../..'));
    await using stack = new AsyncDisposableStack();
    const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'hk-homes-')), async (made) =>
      rm(made, { recursive: true }),
    );
    await chmod(folder, 0o711);
    const database = stack.adopt(await createDatabase(), async (made) => made.drop());
    const s3 = stack.adopt(await openS3TestServer(), async (made) => made.stop());
    const gate = stack.adopt(await S3Gate.to(s3.options.endpoint), async (made) => made.close());
    const names = Array.from({ length: homes }, (_, index) => `home-${String(index + 1)}`);
    const limits = new LimitsWatch({
      ...Object.fromEntries(names.map((name) => [hostLimit(name), HOST_AT_ONCE])),
      [ALL_HOSTS]: POLICY_AT_ONCE,
    });
    const parts = { limits, database, s3, gate };
    const lab = new HomesLab(folder, seededNumbers(seed), parts, stack.move());
    await using undo = new AsyncDisposableStack();
    undo.use(lab);
    const clockBeganMs = Date.now();
    for (const name of names) {
      const home = await Home.make(
        {
          ...{ name, folder, clockBeganMs, limits, random: lab.random },
          databaseUrl: database.url,
          settings: lab.#settings,
          onStep: (at, step) => lab.kills.reached(at, step),
        },
        vms,
      );
      lab.homes.push(lab.#stack.use(home));
    }
    gate.follow((request, moment) => (lab.#sees(request, moment) ? 'alone' : false));
    undo.move();
    return lab;
  }

  /** Makes the vault, which all services know, and starts all of them. */
  async begin(): Promise<void> {
    const vault = {
      name: VAULT,
      location: `s3://${this.#s3.bucket}/${PREFIX}`,
      endpoint: this.#gate.endpoint,
      passphrase: PASSPHRASE,
    };
    const [first, ...others] = this.homes;
    await first?.start();
    await first?.client.call('createVault', { body: vault }, signal);
    for (const home of others) {
      await home.start();
      await home.client.call('createVault', { body: { ...vault, existing: true } }, signal);
    }
  }

  /** @param every distance of two fire times, by the clock of the services */
  async apply(every: string): Promise<void> {
    const text = `
name: ${POLICY}
selector: { all: true }
vault: ${VAULT}
schedule: { every: ${every}, jitter: ${JITTER} }
limits: { atOnce: ${String(POLICY_AT_ONCE)} }
`;
    await this.homes[0]?.client.call('applyPolicies', { body: { text } }, signal);
  }

  async runs(): Promise<RunEvidence[]> {
    return (await this.database.run('SELECT * FROM "run" ORDER BY "fire_at_ms"')) as RunEvidence[];
  }

  /** Resolves when all of these many runs have ended. */
  async ended(count: number): Promise<void> {
    for (let sinceMs = 0; ;) {
      const nowMs = performance.now();
      const runs = await this.runs();
      if (runs.length >= count && runs.every(({ state }) => ENDS.includes(state))) {
        return;
      }
      const others = new AbortController();
      const looks = this.homes.map(async ({ service }) =>
        service.logs('run.changed', sinceMs, others.signal),
      );
      await Promise.race(looks);
      others.abort();
      await Promise.allSettled(looks);
      sinceMs = nowMs;
    }
  }

  /** Opens the store past the gate; close it. */
  async openStore(): Promise<S3ObjectStore> {
    const client = await connectS3(this.#s3.options);
    return new S3ObjectStore(client, { bucket: this.#s3.bucket, prefix: `${PREFIX}/` });
  }

  async openVault(store: S3ObjectStore): Promise<Vault> {
    return Vault.open(store, { kind: 'passphrase', passphrase: PASSPHRASE }, {}, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  get #settings(): Record<string, string> {
    const { credentials } = this.#s3.options;
    return {
      AWS_ACCESS_KEY_ID: credentials?.accessKeyId ?? process.env['AWS_ACCESS_KEY_ID'] ?? '',
      AWS_SECRET_ACCESS_KEY:
        credentials?.secretAccessKey ?? process.env['AWS_SECRET_ACCESS_KEY'] ?? '',
      AWS_REGION: 'us-east-1',
      JOBS_CONCURRENCY: String(HOST_AT_ONCE),
    };
  }

  /** @returns whether the service whose request it is was killed there */
  #sees({ method, path }: GateRequest, moment: KillStep['moment']): boolean {
    const { vm, end } = POINT.exec(path)?.groups ?? {};
    const home = this.homes.find((each) => each.has(vm ?? ''));
    const name = end === undefined ? 'W1' : 'W3';
    return method === 'PUT' && home !== undefined && this.kills.reached(home, { name, moment });
  }
}
