// npm run soak -- policies [--vms 500] [--policies 100] [--points 200] [--runs 7]
//
// A real service with the PostgreSQL of its home has many VMs, policies and points in its catalog.
// Measured are the status of all VMs and a dry run of all policies, asked over HTTP and as the
// command that people type; a look at all schedules, as its log says; a start until the first
// answer, with everything warm; and the memory of the idle service. Prints medians; fails when one
// of them exceeds its target.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import { residentMemory } from '../support/service/process-memory.ts';
import { RealService } from '../support/service/real-service.ts';

const { values } = parseArgs({
  options: {
    vms: { type: 'string', default: '500' },
    policies: { type: 'string', default: '100' },
    // What such rules keep of a VM, and a day's more.
    points: { type: 'string', default: '60' },
    runs: { type: 'string', default: '7' },
  },
});

const ROOT = join(import.meta.dirname, '../..');
const PROGRAM = join(ROOT, 'bin/hyperkeep.mjs');
const MiB = 1024 * 1024;
const STATUS_MS_MAX = 500;
const PLAN_MS_MAX = 1000;
const TICK_MS_MAX = 50;
const START_MS_MAX = 3000;
const IDLE_MIB_MAX = 250;
const STARTS = 3;
const VMS = Number(values.vms);
const POLICIES = Number(values.policies);
const { signal } = new AbortController();
/** With its times and its memory in the log. */
const SETTINGS = { LOG_LEVEL: 'debug' };

/** Each policy has the VMs of one team; the first has all, so that each VM has two. */
function policyText(daily: number): string {
  const policies = Array.from({ length: POLICIES }, (_, index) => ({
    name: `policy-${String(index)}`,
    selector: index === 0 ? { all: true } : { vms: [`team${String(index)}-*`, 'shared-*'] },
    vault: 'main',
    schedule: {
      cron: `${String(index % 60)} ${index % 2 === 0 ? '*' : '1-23/2'} * * *`,
      zone: index % 3 === 0 ? 'Europe/Berlin' : 'America/New_York',
    },
    ...(index % 2 === 0 ? { rpo: '4h' } : {}),
    retention: { last: 24, daily },
  }));
  // Running it makes the service look at all schedules at once.
  policies.push({
    ...{
      name: 'nudge',
      selector: { vms: ['nothing'] },
      vault: 'main',
      retention: { last: 1, daily },
    },
    schedule: { cron: '@yearly', zone: 'UTC' },
  });
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

/** Points every hour, the newest now, as if the runs of the first policy had taken them. */
async function addPoints(vaultId: string): Promise<void> {
  const password = await readFile(join(lab.home, 'postgres.password'), 'utf8');
  const host = join(lab.home, 'postgres/socket');
  const user = 'hyperkeep';
  const database = new pg.Client({ host, user, database: user, password: password.trim() });
  await database.connect();
  try {
    const status = await lab.service.client.call('protection', {}, signal);
    await database.query(
      `WITH made AS (
         SELECT upper(lpad(to_hex(vm.nr * 100000 + n), 26, '0')) AS id, vm.id AS vm_id,
                (extract(epoch FROM now()) * 1000)::bigint - ($3::bigint - n) * 3600000
                  - vm.nr * 2000 AS ms
           FROM unnest($2::text[]) WITH ORDINALITY AS vm (id, nr), generate_series(1, $3::int) AS n)
       INSERT INTO recovery_point (vault_id, id, vm_id, vm_name, taken_at_ms, point, changed, holds,
                                   origin_kind, policy_name)
       SELECT $1, id, vm_id, vm_id, ms,
              jsonb_build_object('id', id, 'vmId', vm_id, 'vmName', vm_id, 'takenAtMs', ms,
                                 'consistency', 'crash', 'notes', '[]'::jsonb,
                                 'disks', '[]'::jsonb, 'files', '[]'::jsonb,
                                 'origin', jsonb_build_object(
                                   'kind', 'policy', 'policy', $4::text,
                                   'service', (SELECT id FROM host))),
              1, '[]', 'policy', $4::text FROM made`,
      [vaultId, status.vms.map(({ vmId }) => vmId), Number(values.points), 'policy-0'],
    );
    await database.query('ANALYZE');
  } finally {
    await database.end();
  }
}

async function median(runs: number, measure: () => Promise<number>): Promise<number> {
  const found: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    found.push(await measure());
  }
  return found.toSorted((a, b) => a - b)[found.length >> 1] ?? NaN;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

async function medianMs(work: () => Promise<unknown>): Promise<number> {
  return median(Number(values.runs), async () => timed(work));
}

/** Lets the service look at all schedules. @returns how long that took it */
async function look(): Promise<number> {
  const { service } = lab;
  const sinceMs = performance.now();
  await service.client.call('runPolicy', { path: { policy: 'nudge' }, body: {} }, signal);
  await service.logs('schedule.looked', sinceMs, signal);
  return Number(service.last('schedule.looked')?.['durationMs']);
}

/** Starts the service anew, until it has answered. */
async function start(): Promise<number> {
  await lab.service.stop();
  return timed(async () => {
    lab.service = await RealService.start(lab.home, signal, SETTINGS);
    await lab.service.client.call('service', {}, signal);
  });
}

async function idleMib(): Promise<number> {
  await lab.service.logs('memory.returned', performance.now(), signal);
  return (await residentMemory(lab.service.pid)) / MiB;
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
  service: RealService;
}

await ensureBuild(ROOT);
await using ending = new AsyncDisposableStack();
const folder = await mkdtemp(join(tmpdir(), 'hk-policies-'));
// PostgreSQL does not run as root and passes through.
await chmod(folder, 0o711);
ending.defer(async () => rm(folder, { recursive: true, force: true }));
const home = join(folder, 'home');
const lab: Lab = { home, service: await RealService.start(home, signal, SETTINGS) };
ending.defer(async () => lab.service.stop());
const { service } = lab;

const place = { location: join(folder, 'vault') };
const { vault } = await service.client.call(
  'createVault',
  { body: { name: 'main', ...place } },
  signal,
);
await addVms(service, folder);
await addPoints(vault.id);
const text = policyText(14);
const file = join(folder, 'policies.yaml');
await writeFile(file, text);
const body = { text, source: file, yes: true };
await service.client.call('applyPolicies', { body }, signal);
// What is shown must be what is measured: every VM has policies, and its points are found.
const { vms } = await service.client.call('protection', {}, signal);
assert.equal(vms.filter(({ by }) => by.some(({ newest }) => newest !== undefined)).length, VMS);

const ask = async (name: 'protection' | 'listVms' | 'listPolicies'): Promise<void> => {
  await lab.service.client.call(name, {}, signal);
};
// What they would give up is the dearest question.
const changed = policyText(7);
await writeFile(file, changed);
const plan = { body: { text: changed, source: file } };
const previewed = await service.client.call('planPolicies', plan, signal);
assert.ok(previewed.givesUp?.some(({ points }) => points > VMS));
const measured: [what: string, amount: number, most: number, unit: string][] = [
  ['status, asked', await medianMs(async () => ask('protection')), STATUS_MS_MAX, 'ms'],
  ['status, typed', await medianMs(async () => command([0, 1], 'status')), STATUS_MS_MAX, 'ms'],
  [
    'apply --dry-run, asked',
    await medianMs(async () => lab.service.client.call('planPolicies', plan, signal)),
    ...([PLAN_MS_MAX, 'ms'] as const),
  ],
  [
    'apply --dry-run, typed',
    await medianMs(async () => command([0], 'apply', '-f', file, '--dry-run')),
    ...([PLAN_MS_MAX, 'ms'] as const),
  ],
  ['look at all schedules', await median(Number(values.runs), look), TICK_MS_MAX, 'ms'],
  ['vm list, asked', await medianMs(async () => ask('listVms')), Infinity, 'ms'],
  ['policy list, asked', await medianMs(async () => ask('listPolicies')), Infinity, 'ms'],
  ['idle after all this', await idleMib(), IDLE_MIB_MAX, 'MiB'],
  ['start to first answer', await median(STARTS, start), START_MS_MAX, 'ms'],
];
await ask('protection');
measured.push(['idle after a start', await idleMib(), IDLE_MIB_MAX, 'MiB']);
console.log(
  `\n${values.vms} VMs with ${values.points} points each, ${values.policies} policies; medians of ${values.runs}`,
);
for (const [what, amount, most, unit] of measured) {
  const verdict = most === Infinity ? '' : `<= ${String(most)} ${amount <= most ? 'met' : 'SHORT'}`;
  console.log(`  ${what.padEnd(24)}${amount.toFixed(0).padStart(6)} ${unit.padEnd(3)}  ${verdict}`);
}
process.exitCode = measured.some(([, amount, most]) => amount > most) ? 1 : 0;
