import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeSocketFolder } from '../../../src/formats/socket-folder.ts';
import { when, type Attack } from './attack.ts';
import { makeVictim } from './file-attacks.ts';
import type { HomeLab } from './home-lab.ts';

/** A request as bytes, and whether its answer shows more than a refusal. */
function request(name: string, head: readonly string[], path = '/api/v1/vms'): Attack {
  return {
    name: `asks over TCP: ${name}`,
    try: async (lab) => {
      const text = [`GET ${path} HTTP/1.1`, ...head, 'Connection: close', '', ''].join('\r\n');
      const answer = await lab.stranger.tries('send', lab.port, text);
      return when(!/^HTTP\/1\.1 (4\d\d|5\d\d) /.test(answer), `answered ${answer.slice(0, 80)}`);
    },
  };
}

const HOST = 'Host: 127.0.0.1';

/** What comes over the network of this machine, where a setting has opened it. */
const REQUESTS: readonly Attack[] = [
  request('without a token', [HOST]),
  request('with an empty token', [HOST, 'Authorization: Bearer ']),
  request('with a wrong token', [HOST, 'Authorization: Bearer undefined']),
  request('with two tokens', [HOST, 'Authorization: Bearer a', 'Authorization: Bearer b']),
  request('for the documentation', [HOST], '/api/docs-json'),
  request('for a path outside', [HOST], '/api/docs/../v1/vms'),
  request('as another name of the machine', ['Host: evil.example']),
  request('without a host', []),
  request('as if from a proxy', [HOST, 'X-Forwarded-For: 127.0.0.1', 'Forwarded: for=unix:']),
];

/** Root works as ever; the stranger listens where the service was. */
async function listensInstead(
  lab: HomeLab,
  ports: readonly number[],
  more: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const before = (await lab.stranger.heard()).length;
  for (const port of ports) {
    await lab.stranger.tries('listen', port);
  }
  const location = join(lab.folder, 'images', 'third');
  const ran = await Promise.all([
    lab.cli(['vm', 'list'], more),
    lab.cli(['vault', 'create', 'third', '--location', location], more),
  ]);
  await lab.stranger.tries('rest');
  const heard = (await lab.stranger.heard()).slice(before);
  return [
    ...heard.map((text) => `he was told ${text.slice(0, 100)}`),
    ...ran.flatMap(({ exitCode }) => when(exitCode === 0, 'his answer was believed')),
  ];
}

/** A whole home of the stranger, with his service in it; root is led there. */
async function ledAstray(lab: HomeLab, home: string): Promise<string[]> {
  const { stranger } = lab;
  const before = (await stranger.heard()).length;
  for (const folder of [home, join(home, 'api')]) {
    await stranger.tries('mkdir', folder);
  }
  await stranger.tries('listen', join(home, 'api', 'service.sock'));
  for (const folder of [join(home, 'api'), home]) {
    await stranger.tries('open', folder);
  }
  const client = await lab.cli(['vm', 'list'], { HYPERKEEP_HOME: home });
  const service = await lab.cli(['serve'], { HYPERKEEP_HOME: home });
  await stranger.tries('rest');
  return [
    ...(await stranger.heard()).slice(before).map((text) => `he was told ${text.slice(0, 100)}`),
    ...when(client.exitCode !== 3, `the command line ended with ${String(client.exitCode)}`),
    ...when(service.exitCode !== 3, `a service there ended with ${String(service.exitCode)}`),
  ];
}

/** While the service runs. */
export const SERVICE_ATTACKS: readonly Attack[] = [
  ...REQUESTS,
  {
    name: 'has a home ready where root makes one',
    try: async (lab) => ledAstray(lab, join(lab.shared(), 'new-home')),
  },
  {
    name: 'has a link where the API of a home should be',
    try: async (lab) => {
      const home = join(lab.folder, 'images', 'linked-home');
      const before = (await lab.stranger.heard()).length;
      await mkdir(home);
      await lab.stranger.tries('mkdir', join(lab.shared(), 'api'));
      await lab.stranger.tries('listen', join(lab.shared(), 'api', 'service.sock'));
      await lab.stranger.tries('open', join(lab.shared(), 'api'));
      await symlink(join(lab.shared(), 'api'), join(home, 'api'));
      const { exitCode } = await lab.cli(['vm', 'list'], { HYPERKEEP_HOME: home });
      await lab.stranger.tries('rest');
      const heard = (await lab.stranger.heard()).slice(before);
      return [...heard, ...when(exitCode !== 3, `ended with ${String(exitCode)}`)];
    },
  },
  {
    name: 'exchanges a folder of a dead server for a link while root looks for such folders',
    try: async (lab, signal) => swept(lab, signal),
  },
  {
    name: 'reads a passphrase file that root left open to all',
    try: async (lab) => {
      const file = join(lab.shared(), 'passphrase');
      await writeFile(file, 'open to all of us\n', { mode: 0o644 });
      const vault = join(lab.shared(), 'vault');
      const { exitCode, text } = await lab.cli(['rescue', 'points', '--vault', vault], {
        HYPERKEEP_PASSPHRASE: '',
        HYPERKEEP_PASSPHRASE_FILE: file,
      });
      return when(exitCode !== 3 || !text.includes('secret.exposed'), `taken: ${text}`);
    },
  },
];

/** The sweep of root beside a folder that changes all the time. */
async function swept(lab: HomeLab, signal: AbortSignal): Promise<string[]> {
  const gone = spawn('true');
  await once(gone, 'close');
  const folder = join(lab.shared(), `hk-nbd-${String(gone.pid)}-x`);
  const images = join(lab.folder, 'images');
  const victim = await makeVictim(lab);
  await lab.stranger.tries('mkdir', folder);
  await lab.stranger.tries('listen', join(folder, 'victim'));
  await lab.stranger.tries('swap', folder, images);
  const { TMPDIR } = process.env;
  process.env['TMPDIR'] = lab.shared();
  try {
    for (let round = 0; round < 100; round += 1) {
      signal.throwIfAborted();
      await rm(await makeSocketFolder(() => true), { recursive: true });
    }
  } finally {
    process.env['TMPDIR'] = TMPDIR ?? '/tmp';
    await lab.stranger.tries('rest');
  }
  const content = await readFile(victim, 'utf8').catch(() => 'gone');
  return when(content !== 'precious', `the victim is ${content}`);
}

/** After the service was killed, and while it is away. Each leaves it away. */
export const AFTERMATH_ATTACKS: readonly Attack[] = [
  {
    name: 'listens at the port that the service left, and at the one that it once had',
    try: async (lab) => listensInstead(lab, [lab.port, 8480]),
  },
  {
    name: 'listens there while an address of an earlier version lies in the home',
    try: async (lab) => {
      await writeFile(join(lab.home(), 'api-address'), `http://127.0.0.1:${String(lab.port)}\n`);
      return listensInstead(lab, [lab.port]);
    },
  },
  {
    name: 'listens where HYPERKEEP_URL leads',
    try: async (lab) =>
      listensInstead(lab, [lab.port], {
        HYPERKEEP_URL: `http://127.0.0.1:${String(lab.port)}`,
        HYPERKEEP_TOKEN_FILE: join(lab.home(), 'api-token'),
      }),
  },
  {
    name: 'takes the socket of the home',
    try: async (lab) => {
      const outcome = await lab.stranger.tries('listen', join(lab.home(), 'api', 'service.sock'));
      await lab.stranger.tries('rest');
      return when(outcome === 'done', 'he listens there');
    },
  },
  {
    name: 'takes the lock of the home',
    try: async (lab) => {
      const path = join(lab.home(), 'service.lock');
      const outcomes = [
        await lab.stranger.tries('read', path),
        await lab.stranger.tries('make', path),
      ];
      return when(outcomes.includes('done'), 'he can hold it');
    },
  },
];
