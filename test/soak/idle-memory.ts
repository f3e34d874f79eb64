// npm run soak -- idle-memory [--rounds N] [--mib N] [--limit MIB] [--s3] [--seed N]
//
// A real service with a real PostgreSQL backs up a stopped VM with a disk of --mib (default 1024),
// restores, verifies and scrubs it, copies the vault, gives the point before up and prunes. After
// each of them the service becomes idle; from what it says then on, its resident memory is read. N
// rounds (default 2) show whether it grows. Fails when the idle service has more than --limit
// (default 250 MiB), or takes longer than 0.3 s to stop.
import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { rows } from '../../bench/guest-content.ts';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import type { Job } from '../../src/api/contract/jobs.ts';
import type { ServiceClient } from '../../src/cli/service/service-client.ts';
import { openS3TestServer } from '../support/s3/minio.ts';
import { peakMemory, residentMemory, resetPeak } from '../support/service/process-memory.ts';
import { RealService } from '../support/service/real-service.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '2' },
    mib: { type: 'string', default: '1024' },
    limit: { type: 'string', default: '250' },
    s3: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
  },
});

const MiB = 1024 * 1024;
const STOP_MS_MAX = 300;
/** Size of the VM whose point the first prune removes. */
const SMALL_MIB = 32;
const { signal } = new AbortController();

/** Two thirds of it look random, a third is text. */
async function writeImage(path: string, seed: string, mib: number): Promise<void> {
  await using file = await open(path, 'wx');
  for (let part = 0; part < mib; part++) {
    const name = `${seed} ${String(part)}`;
    await file.write(part % 3 === 2 ? rows(name, MiB) : seededBytes(name, MiB));
  }
}

interface Measured {
  readonly round: number;
  readonly step: string;
  readonly seconds: number;
  readonly peakMib: number;
  readonly idleMib: number;
}

type JobRoute =
  'startBackup' | 'startRestore' | 'startVerification' | 'scrubVault' | 'copyVault' | 'pruneVault';

class Lab {
  readonly #folder: string;
  readonly #service: RealService;
  readonly measured: Measured[] = [];

  constructor(folder: string, service: RealService) {
    this.#folder = folder;
    this.#service = service;
  }

  /** Does one step, and measures the memory of the idle service afterwards. */
  async step<T>(round: number, step: string, work: () => Promise<T>): Promise<T> {
    const { pid } = this.#service;
    await resetPeak(pid);
    const startedMs = performance.now();
    const result = await work();
    const seconds = (performance.now() - startedMs) / 1000;
    await this.#service.logs('memory.returned', startedMs, signal);
    const [peak, idle] = [await peakMemory(pid), await residentMemory(pid)];
    this.measured.push({
      round,
      step,
      seconds: Number(seconds.toFixed(1)),
      peakMib: Math.round(peak / MiB),
      idleMib: Math.round(idle / MiB),
    });
    console.log(this.measured.at(-1));
    return result;
  }

  /** Adds a VM that is off. */
  async addVm(name: string, mib: number): Promise<void> {
    const path = join(this.#folder, `${name}.raw`);
    await writeImage(path, `${values.seed} ${name}`, mib);
    const disk = { id: randomUUID(), name: 'system', path, format: 'raw' } as const;
    await this.#service.client.call('addVm', { body: { name, disks: [disk] } }, signal);
  }

  /** @returns the point */
  async backUp(vm: string): Promise<string> {
    const { result } = await this.#job('startBackup', { body: { vm } });
    assert(result?.kind === 'backup');
    return result.pointId;
  }

  /** @param before point to give up. @returns the point of this round */
  async round(round: number, before: string): Promise<string> {
    const name = `vm-${String(round)}`;
    await this.addVm(name, Number(values.mib));
    const point = await this.step(round, 'backup', async () => this.backUp(name));
    const file = join(this.#folder, `${name}-restored.raw`);
    await this.step(round, 'restore', async () =>
      this.#job('startRestore', { body: { kind: 'disk', point, file } }),
    );
    await rm(file);
    await this.step(round, 'verify', async () =>
      this.#job('startVerification', { body: { point } }),
    );
    const vault = { path: { vault: 'vault' } };
    await this.step(round, 'scrub', async () =>
      this.#job('scrubVault', { ...vault, body: { share: 1 } }),
    );
    const to = { location: join(this.#folder, 'copy') };
    await this.step(round, 'copy', async () =>
      this.#job('copyVault', { ...vault, body: { dryRun: false, to } }),
    );
    await this.step(round, 'retire', async () =>
      this.#service.client.call('retirePoints', { ...vault, body: { points: [before] } }, signal),
    );
    const rules = { dryRun: false, youngMs: 0, liveShare: 0.95, allPointsAreListed: true };
    await this.step(round, 'prune', async () => this.#job('pruneVault', { ...vault, body: rules }));
    return point;
  }

  async #job(route: JobRoute, call: Parameters<ServiceClient['call']>[1]): Promise<Job> {
    const ended = await this.#service.ended(
      await this.#service.client.call(route, call, signal),
      signal,
    );
    assert.equal(ended.state, 'succeeded', JSON.stringify(ended.fault));
    return ended;
  }
}

await ensureBuild(join(import.meta.dirname, '../..'));
console.log(`seed ${values.seed}`);
await using cleanup = new AsyncDisposableStack();
const folder = await mkdtemp('/tmp/hk-idle-');
cleanup.defer(async () => rm(folder, { recursive: true }));
// PostgreSQL runs as another user when this is root.
await chmod(folder, 0o711);
const home = join(folder, 'home');
await mkdir(home);
const s3 = values.s3 ? await openS3TestServer() : undefined;
cleanup.defer(async () => s3?.stop());
const service = await RealService.start(home, signal, {
  VAULT_PACK_SIZE: '64MiB',
  LOG_LEVEL: 'debug',
  ...(s3 !== undefined && {
    AWS_ACCESS_KEY_ID: s3.options.credentials?.accessKeyId ?? '',
    AWS_SECRET_ACCESS_KEY: s3.options.credentials?.secretAccessKey ?? '',
    AWS_REGION: 'us-east-1',
  }),
});
cleanup.defer(async () => service.kill());
const lab = new Lab(folder, service);
const place =
  s3 === undefined
    ? { location: join(folder, 'vault') }
    : { location: `s3://${s3.bucket}/vault`, endpoint: s3.options.endpoint };
await lab.step(0, 'vault create', async () =>
  service.client.call('createVault', { body: { name: 'vault', ...place } }, signal),
);
await lab.addVm('vm-0', SMALL_MIB);
let point = await lab.backUp('vm-0');
for (let round = 1; round <= Number(values.rounds); round++) {
  point = await lab.round(round, point);
}
const stoppedMs = performance.now();
await service.stop();
const stopMs = Math.round(performance.now() - stoppedMs);
console.table(lab.measured);
const most = Math.max(...lab.measured.map(({ idleMib }) => idleMib));
console.log(`idle at most ${String(most)} MiB; stopped in ${String(stopMs)} ms`);
process.exitCode = most > Number(values.limit) || stopMs > STOP_MS_MAX ? 1 : 0;
