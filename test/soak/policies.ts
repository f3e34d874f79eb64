// npm run soak -- policies [--vms 500] [--policies 100] [--points 200] [--runs 7]
//
// A real service with a real PostgreSQL has many VMs, policies and points in its catalog. Measured
// are the status of all VMs and a dry run of all policies: asked over HTTP, and as the command that
// people type. Prints medians; fails when one of them takes longer than its target.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import { createDatabase } from '../support/service/database.ts';
import { RealService } from '../support/service/real-service.ts';

const { values } = parseArgs({
  options: {
    vms: { type: 'string', default: '500' },
    policies: { type: 'string', default: '100' },
    points: { type: 'string', default: '200' },
    runs: { type: 'string', default: '7' },
  },
});

const ROOT = join(import.meta.dirname, '../..');
const PROGRAM = join(ROOT, 'bin/hyperkeep.mjs');
const MiB = 1024 * 1024;
const STATUS_MS_MAX = 500;
const PLAN_MS_MAX = 1000;
const VMS = Number(values.vms);
const POLICIES = Number(values.policies);
const { signal } = new AbortController();

/** Each policy has the VMs of one team; the first has all, so that each VM has two. */
function policyText(): string {
  const policies = Array.from({ length: POLICIES }, (_, index) => ({
    name: `policy-${String(index)}`,
    selector: index === 0 ? { all: true } : { vms: [`team${String(index)}-*`, 'shared-*'] },
    vault: 'main',
    schedule: {
      cron: `${String(index % 60)} ${index % 2 === 0 ? '*' : '1-23/2'} * * *`,
      zone: index % 3 === 0 ? 'Europe/Berlin' : 'America/New_York',
    },
    ...(index % 2 === 0 ? { rpo: '4h' } : {}),
    retention: { last: 24, daily: 14 },
  }));
  // JSON is YAML.
  return JSON.stringify({ policies });
}

async function addVms(service: RealService, folder: string): Promise<void> {
  for (let index = 0; index < VMS; index += 1) {
    const path = join(folder, `${String(index)}.raw`);
    await using file = await open(path, 'wx');
    await file.truncate(MiB);
    const name = `team${String(index % POLICIES)}-${String(index)}`;
    const disks = [{ name: 'system', path, format: 'raw' as const }];
    await service.client.call('addVm', { body: { name, disks } }, signal);
  }
}

/** Points every hour, the newest now, as if backups had run. */
async function addPoints(url: string, vaultId: string): Promise<void> {
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  try {
    const { rows } = await database.query<{ now: string }>(
      'SELECT (extract(epoch FROM now()) * 1000)::bigint AS now',
    );
    const status = await lab.service.client.call('protection', {}, signal);
    await database.query(
      `INSERT INTO recovery_point (vault_id, id, vm_id, vm_name, taken_at_ms, point, changed, holds)
       SELECT $1, upper(lpad(to_hex(vm.nr * 100000 + n), 26, '0')), vm.id, vm.id,
              $3::bigint - ($4::bigint - n) * 3600000 - vm.nr * 2000, '{"disks": []}', 1, '[]'
         FROM unnest($2::text[]) WITH ORDINALITY AS vm (id, nr), generate_series(1, $4::int) AS n`,
      [vaultId, status.vms.map(({ vmId }) => vmId), rows[0]?.now, Number(values.points)],
    );
    await database.query('ANALYZE');
  } finally {
    await database.end();
  }
}

async function medianMs(work: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < Number(values.runs); run += 1) {
    const startedMs = performance.now();
    await work();
    times.push(performance.now() - startedMs);
  }
  return times.toSorted((a, b) => a - b)[times.length >> 1] ?? NaN;
}

/** Runs the command line as a process of its own. */
async function command(exitCodes: readonly number[], ...parameters: string[]): Promise<void> {
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...parameters], {
    env: { PATH: process.env['PATH'], HYPERKEEP_HOME: lab.home },
    encoding: 'utf8',
    maxBuffer: 64 * MiB,
  });
  assert(exitCodes.includes(status ?? -1), `${parameters.join(' ')}: ${String(status)} ${stderr}`);
}

interface Lab {
  readonly home: string;
  readonly service: RealService;
}

await ensureBuild(ROOT);
await using ending = new AsyncDisposableStack();
const folder = await mkdtemp(join(tmpdir(), 'hk-policies-'));
// PostgreSQL does not run as root and passes through.
await chmod(folder, 0o711);
ending.defer(async () => rm(folder, { recursive: true, force: true }));
const database = await createDatabase();
ending.defer(database.drop);
const home = join(folder, 'home');
const service = await RealService.start(home, signal, { DATABASE_URL: database.url });
ending.defer(async () => service.stop());
const lab: Lab = { home, service };

const place = { location: join(folder, 'vault') };
const { vault } = await service.client.call(
  'createVault',
  { body: { name: 'main', ...place } },
  signal,
);
await addVms(service, folder);
await addPoints(database.url, vault.id);
const text = policyText();
const file = join(folder, 'policies.yaml');
await writeFile(file, text);
const body = { text, source: file, yes: true };
await service.client.call('applyPolicies', { body }, signal);
// What is shown must be what is measured: every VM has policies, and its points are found.
const { vms } = await service.client.call('protection', {}, signal);
assert.equal(vms.filter(({ by }) => by.some(({ newest }) => newest !== undefined)).length, VMS);

const ask = async (name: 'protection' | 'listVms' | 'listPolicies'): Promise<void> => {
  await service.client.call(name, {}, signal);
};
const plan = { body: { text, source: file } };
const measured: [what: string, ms: number, most: number][] = [
  ['status, asked', await medianMs(async () => ask('protection')), STATUS_MS_MAX],
  ['status, typed', await medianMs(async () => command([0, 1], 'status')), STATUS_MS_MAX],
  [
    'apply --dry-run, asked',
    await medianMs(async () => {
      await service.client.call('planPolicies', plan, signal);
    }),
    PLAN_MS_MAX,
  ],
  [
    'apply --dry-run, typed',
    await medianMs(async () => command([0], 'apply', '-f', file, '--dry-run')),
    PLAN_MS_MAX,
  ],
  ['vm list, asked', await medianMs(async () => ask('listVms')), Infinity],
  ['policy list, asked', await medianMs(async () => ask('listPolicies')), Infinity],
];
console.log(
  `\n${values.vms} VMs with ${values.points} points each, ${values.policies} policies; medians of ${values.runs}`,
);
for (const [what, ms, most] of measured) {
  const verdict = Number.isFinite(most) ? `<= ${String(most)} ${ms <= most ? 'met' : 'SHORT'}` : '';
  console.log(`  ${what.padEnd(24)}${ms.toFixed(0).padStart(6)} ms  ${verdict}`);
}
process.exitCode = measured.some(([, ms, most]) => ms > most) ? 1 : 0;
