import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  PolicyHistory,
  PolicyList,
  PolicyPlan,
  ProtectionStatus,
} from '../../../src/api/contract/policies.ts';
import { VmList } from '../../../src/api/contract/vms.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { TestService } from '../../support/service/service.ts';
import { TypedInput } from '../../support/service/terminal-buffers.ts';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { randomUUID } from 'node:crypto';

const PASSPHRASE = 'correct horse battery staple';

let engine: FakeEngine;
let service: TestService;
let folder: string;

beforeAll(async () => {
  engine = new FakeEngine();
  service = await TestService.start(engine);
  folder = await mkdtemp(join(tmpdir(), 'hk-policies-'));
  const place = ['--location', join(folder, 'vault'), '--recovery-file', join(folder, 'recovery')];
  await done('vault', 'create', 'main', ...place);
  for (const name of ['db-1', 'db-2', 'web']) {
    await addVm(name);
  }
});
afterAll(async () => {
  await service.remove();
  await rm(folder, { recursive: true });
});

async function addVm(name: string): Promise<void> {
  const disk = { id: randomUUID(), name: 'system', path: '/d/s.raw', format: 'raw' };
  const disks = [{ ...disk, sizeBytes: MiB }];
  const definition = VmDefinition.parse({ id: randomUUID(), name, disks });
  await engine.add(definition, new AbortController().signal);
}

async function cli(parameters: readonly string[], input?: string): Promise<CliRun> {
  const { home: homeFolder } = service;
  return cliRun(parameters, {
    folder,
    passphrase: PASSPHRASE,
    ...(input === undefined ? {} : { input: new TypedInput([input]) }),
    environment: { readSettings: () => ({ homeFolder }) },
  });
}

/** The output of a command that must succeed. */
async function done(...parameters: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await cli(parameters);
  expect([stderr, exitCode]).toEqual([expect.any(String), 0]);
  return stdout;
}

async function json(...parameters: string[]): Promise<unknown> {
  return JSON.parse((await cli([...parameters, '--json'])).stdout);
}

async function file(text: string, name = 'policies.yaml'): Promise<string> {
  await writeFile(join(folder, name), text);
  return name;
}

const policy = (name: string, selector: string, more = ''): string =>
  `  - name: ${name}\n    selector: ${selector}\n    vault: main\n    schedule: { every: 1h }\n${more}`;

const DB = policy('databases', '{ vms: ["db-*"] }', '    rpo: 2h\n');
const WEB = policy('web', '{ vms: [web] }');

async function revisions(): Promise<[string, number][]> {
  const { policies } = PolicyList.parse(await json('policy', 'list'));
  return policies.map(({ name, revision }) => [name, revision]);
}

describe('policies as code', () => {
  it('are shown before they are applied, and applied as they were shown', async () => {
    expect(await done('policy', 'list')).toContain('No policies yet');
    const name = await file(`policies:\n${DB}`);

    const shown = await done('apply', '-f', name, '--dry-run');
    expect(shown).toContain('+ databases: new, protects 2 VMs: db-1, db-2');
    expect(shown).toContain('Protected by no policy: web');
    expect(shown).toContain('Vault main: about 17520 points a year');
    const plan = PolicyPlan.parse(await json('policy', 'diff', '-f', name));
    expect(shown).toContain(`--plan ${plan.id}`);
    expect(await revisions()).toEqual([]);

    expect(await done('apply', '-f', name, '--plan', plan.id)).toContain(
      'Applied: 1 new, 0 changed',
    );
    expect(await revisions()).toEqual([['databases', 1]]);
    expect(await done('policy', 'show', 'databases')).toContain('protects 2 VMs');
  });

  it('choose VMs by the tags that people gave them', async () => {
    const name = await file(`policies:\n${policy('gold', '{ tags: [gold] }')}`, 'gold.yaml');
    expect(await done('apply', '-f', name, '--dry-run')).toContain(
      '+ gold: new, protects no VM now',
    );

    await done('vm', 'tag', 'web', 'gold');

    expect(await done('apply', '-f', name, '--dry-run')).toContain('protects 1 VM: web');
    await done('vm', 'tag', 'web', 'gold', '--remove');
  });

  it('refuse a plan that is another one by now', async () => {
    const name = await file(`policies:\n${DB}${WEB}`);
    const { id } = PolicyPlan.parse(await json('policy', 'diff', '-f', name));
    await addVm('db-3');

    const refused = await cli(['apply', '-f', name, '--plan', id]);

    expect(refused.exitCode).toBe(5);
    expect(refused.stderr).toContain('policy.plan-changed');
    expect(await revisions()).toEqual([['databases', 1]]);
  });

  it('change nothing at all when one of them is wrong', async () => {
    const name = await file(
      `policies:\n${WEB}${policy('x', '{ all: true }').replace('main', 'mian')}`,
    );

    const refused = await cli(['apply', '-f', name]);

    expect(refused.exitCode).toBe(2);
    expect(refused.stderr).toContain(
      'policies.yaml:8:12: vault: no vault mian is registered (main)',
    );
    expect(await revisions()).toEqual([['databases', 1]]);
  });

  it('are removed only when somebody asks for it', async () => {
    const both = await file(`policies:\n${DB}${WEB}`);
    await done('apply', '-f', both);
    const one = await file(`policies:\n${WEB}`);

    expect(await done('apply', '-f', one)).toContain('databases: not in the file, stays');
    expect(await revisions()).toEqual([
      ['databases', 1],
      ['web', 1],
    ]);
    expect(await done('policy', 'diff', '-f', one, '--prune')).toContain('- databases: removed');
    expect(await done('apply', '-f', one, '--prune')).toContain('0 new, 0 changed, 1 removed');
    expect(await revisions()).toEqual([['web', 1]]);
    const history = PolicyHistory.parse(await json('policy', 'history', 'databases'));
    expect(history.revisions.map(({ change, author }) => [change, author])).toEqual([
      ['removed', 'local'],
      ['created', 'local'],
    ]);
  });

  it('say what differs, and who changed it', async () => {
    const slower = await file(`policies:\n${WEB.replace('1h', '2h')}`);

    expect(await done('apply', '-f', slower)).toContain('schedule.every: 1h -> 2h');
    const { text } = (await service.get('/policy-text')).body as { text: string };
    const answer = await service.post('/policy-text', { text: text.replace('2h', '3h') });
    expect(answer.status).toBe(200);

    const shown = await done('policy', 'history', 'web');
    expect(shown).toMatch(/api-token +3 +changed +schedule.every\n.* local +2 +changed +schedule/);
  });

  it('export what applied again changes nothing', async () => {
    const before = await revisions();

    const applied = await cli(['apply', '-f', '-', '--prune'], await done('policy', 'export'));

    expect(applied.stdout).toContain('Applied: 0 new, 0 changed, 0 removed');
    expect(await revisions()).toEqual(before);
  });

  it('refuse commands in guests unless the service allows them', async () => {
    const name = await file(
      `policies:\n${WEB}    guestCommands: { before: [["/bin/sync"]] }\n`,
      'commands.yaml',
    );

    const refused = await cli(['apply', '-f', name]);

    expect(refused.exitCode).toBe(3);
    expect(refused.stderr).toContain('commands.yaml:6:20');
    expect(refused.stderr).toContain('["/bin/sync"]');
  });

  it('show commands in guests before they are applied, where the service allows them', async () => {
    const allowing = await TestService.start(engine, { GUEST_COMMANDS: 'allowed' });
    const vault = { name: 'main', location: join(folder, 'second'), passphrase: PASSPHRASE };
    expect((await allowing.post('/vaults', vault)).status).toBe(201);
    const name = await file(
      `policies:\n${WEB}    guestCommands: { before: [["/bin/sync", "-f"]] }\n`,
    );
    const { exitCode, stdout } = await cliRun(['policy', 'diff', '-f', name], {
      folder,
      environment: { readSettings: () => ({ homeFolder: allowing.home }) },
    });
    await allowing.remove();

    expect(exitCode).toBe(0);
    expect(stdout).toContain('runs in each guest: ["/bin/sync","-f"]');
  });

  it('refuse what fills a vault with small objects, unless somebody means it', async () => {
    const often = await file(`policies:\n${policy('often', '{ all: true }').replace('1h', '1m')}`);

    const refused = await cli(['apply', '-f', often]);

    expect(refused.exitCode).toBe(6);
    expect(refused.stderr).toContain('2105320 objects a year');
    await done('apply', '-f', often, '--yes');
    await done('apply', '-f', await file(`policies:\n${WEB}`), '--prune');
  });

  it('name one that is not there', async () => {
    for (const words of [['show'], ['pause'], ['run'], ['history'], ['export']]) {
      expect((await cli(['policy', ...words, 'nothing'])).exitCode).toBe(4);
    }
  });
});

describe('protection', () => {
  const states = async () => {
    const { vms } = ProtectionStatus.parse(await json('status'));
    return Object.fromEntries(vms.map(({ vmName, state }) => [vmName, state]));
  };

  it('is what every VM has once its policies ran', async () => {
    await done('apply', '-f', await file(`policies:\n${WEB}`));
    expect(await states()).toEqual({
      ...{ 'db-1': 'unprotected', 'db-2': 'unprotected', 'db-3': 'unprotected' },
      web: 'no-point',
    });
    const list = VmList.parse(await json('vm', 'list', '--unprotected'));
    expect(list.vms.map(({ name }) => name)).toEqual(['db-1', 'db-2', 'db-3']);

    await done('apply', '-f', await file(`policies:\n${policy('everything', '{ all: true }')}`));
    expect(await done('vm', 'list', '--unprotected')).toContain('Every VM is protected');
    expect(await done('vm', 'list')).toMatch(/web .* everything, web/);
    expect((await cli(['status'])).exitCode).toBe(1);
    expect(await done('policy', 'run', 'everything')).toContain('db-3');
    const points = (await service.rows('recovery_point')) as { point: { origin: unknown } }[];
    expect(points.map(({ point }) => point.origin)).toEqual(
      points.map(
        () => expect.objectContaining({ policy: 'everything', actor: 'local' }) as unknown,
      ),
    );

    const { exitCode, stdout } = await cli(['status']);
    expect(stdout).toContain('4 VMs: every one has a policy');
    expect(exitCode).toBe(0);
  });

  it('is late when the newest point is older than it may be', async () => {
    await service.sql(`UPDATE recovery_point SET taken_at_ms = taken_at_ms - 7300000
      WHERE vm_name = 'db-1'`);

    const { exitCode, stdout } = await cli(['status']);

    expect(exitCode).toBe(1);
    expect(stdout.split('\n')[1]).toMatch(/^db-1 +LATE +everything +2 h 01 min ago/);
    expect(stdout).toContain('4 VMs: 1 late.');
  });

  it('pauses with the policy, and a pause is not well', async () => {
    expect(await done('policy', 'pause', 'everything')).toContain('is paused');
    expect(await states()).toMatchObject({ 'db-1': 'paused', 'db-2': 'paused', web: 'ok' });
    expect(await done('policy', 'resume', 'everything')).toContain('goes on');
    await done('policy', 'resume', 'everything');
    const history = PolicyHistory.parse(await json('policy', 'history', 'everything'));
    expect(history.revisions.map(({ change }) => change)).toEqual(['resumed', 'paused', 'created']);
  });
});

describe('a policy whose stored text this version cannot read', () => {
  it('is shown with the reason, can be paused, and is mended by applying it anew', async () => {
    const name = await file(`policies:\n${DB}${WEB}`);
    await done('apply', '-f', name);
    const broken = `"document" ->> 'name' = 'web'`;
    await service.sql(
      `UPDATE "policy_revision" SET "document" = "document" || '{"colour": 1}' WHERE ${broken}`,
    );

    const listed = await done('policy', 'list');
    expect(listed).toMatch(/^web +UNREADABLE/mu);
    expect(listed).toContain('Policy web cannot be read and takes no points');
    expect(listed).toContain('colour');
    const status = await cli(['status']);
    expect(status.exitCode).toBe(1);
    expect(status.stdout).toContain('Policy web cannot be read');
    expect(await done('policy', 'show', 'web')).toContain('"colour":1');
    expect((await cli(['policy', 'run', 'web'])).stderr).toContain('policy.unreadable');
    expect((await cli(['policy', 'export'])).stderr).toContain('policy.unreadable');
    await done('policy', 'pause', 'web');
    await done('policy', 'resume', 'web');
    const other = await file(`policies:\n${DB}`, 'other.yaml');
    expect(await done('apply', '-f', other)).toContain('web: not in the file, stays as before');

    expect(await done('apply', '-f', name)).toContain('~ web: changed, protects 1 VM: web');
    expect(await done('policy', 'list')).toMatch(/^web +active/mu);
  });
});
