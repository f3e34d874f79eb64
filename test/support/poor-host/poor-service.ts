import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededBytes } from '../random/seeded-bytes.ts';
import { OUTPUT_CHARACTERS_MAX, PASSPHRASE, PROGRAM, wrongIn, type Trial } from './trial.ts';

const START_MS_MAX = 5 * 60 * 1000;
const STOP_MS_MAX = 60_000;
const CLIENT_MS_MAX = 3 * 60 * 1000;

export interface ServiceSurrounding {
  readonly name: string;
  /** `$LAB/home` is the home of the service. Runs in mounts of its own. */
  readonly script?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly before?: readonly string[];
  readonly isHarmless?: boolean;
  /** Once the service listens. */
  readonly killsDatabase?: boolean;
}

const READ_ONLY = 'mount --bind "$LAB/home" "$LAB/home" && mount -o remount,ro,bind "$LAB/home"';
const FULL =
  'mount -t tmpfs -o size=64k,mode=755 none "$LAB/home"; head -c 65536 /dev/zero > "$LAB/home/all"';

export const SERVICE_SURROUNDINGS: readonly ServiceSurrounding[] = [
  { name: 'service: nothing lacks', isHarmless: true },
  { name: 'service: home read-only', script: READ_ONLY },
  { name: 'service: home full', script: FULL },
  {
    name: 'service: home without inodes',
    script: 'mount -t tmpfs -o nr_inodes=1,mode=755 none "$LAB/home"',
  },
  { name: 'service: home is a file', script: 'rmdir "$LAB/home"; : > "$LAB/home"' },
  {
    name: 'service: home of another user',
    script: 'chmod 755 "$LAB"; chmod 700 "$LAB/home"',
    before: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
  },
  {
    name: 'service: no TMPDIR',
    environment: { TMPDIR: '/nonexistent' },
    isHarmless: true,
  },
  { name: 'service: 64 open files', before: ['prlimit', '--nofile=64:64'] },
  { name: 'service: database killed', killsDatabase: true },
];

const CLIENT_COMMANDS: readonly (readonly string[])[] = [
  ['vm', 'list'],
  ['vault', 'list'],
  ['vault', 'create', 'one', '--location', '$LAB/vault', '--recovery-file', '$LAB/out/one.txt'],
  ['vm', 'add', '$LAB/vm.json'],
  ['backup', 'off'],
  ['points', 'list'],
  ['restore', 'latest', '--vm', 'off', '--as', 'other'],
  ['verify', 'latest', '--vm', 'off'],
  ['vault', 'usage', 'one'],
  ['jobs', 'list'],
];

/** Starts the service on a host that lacks something, asks it what people ask, and stops it. */
export async function serviceTrials(
  surrounding: ServiceSurrounding,
  seed: string,
): Promise<Trial[]> {
  const lab = await mkdtemp(join(tmpdir(), 'hk-poor-service-'));
  try {
    await prepare(lab, seed);
    return await runAll(surrounding, lab);
  } finally {
    await rm(lab, { recursive: true, force: true });
  }
}

async function prepare(lab: string, seed: string): Promise<void> {
  // The database of root runs as another user.
  await chmod(lab, 0o755);
  for (const name of ['home', 'out', 'cache']) {
    await mkdir(join(lab, name));
  }
  await writeFile(join(lab, 'disk.raw'), seededBytes(seed, 2 * 1024 * 1024));
  const disks = [{ name: 'system', path: join(lab, 'disk.raw'), format: 'raw' }];
  await writeFile(join(lab, 'vm.json'), JSON.stringify({ name: 'off', memoryMib: 64, disks }));
}

async function runAll(surrounding: ServiceSurrounding, lab: string): Promise<Trial[]> {
  const { script = '', before = [], killsDatabase = false } = surrounding;
  const run = `set -e; ( ${script} ); exec "$@"`;
  const shell = script === '' ? [] : ['unshare', '--mount', 'sh', '-c', run, 'sh'];
  const service = start(
    [...shell, ...before, process.execPath, PROGRAM, 'serve'],
    lab,
    surrounding,
  );
  const trials: Trial[] = [];
  if (await service.listens(START_MS_MAX)) {
    for (const [index, command] of CLIENT_COMMANDS.entries()) {
      if (killsDatabase && index % 3 === 1) {
        await killDatabase(join(lab, 'home'));
      }
      trials.push(await client(command, lab, { surrounding, service: service.child }));
    }
    service.child.kill('SIGTERM');
  }
  trials.unshift(await service.ended(surrounding, 'serve', STOP_MS_MAX));
  return trials;
}

async function client(
  command: readonly string[],
  lab: string,
  { surrounding, service }: { surrounding: ServiceSurrounding; service: ChildProcess },
): Promise<Trial> {
  const { script = '', before = [] } = surrounding;
  const inside = script === '' ? [] : ['nsenter', '--mount', `--target=${String(service.pid)}`];
  const words = command.map((word) => word.replace('$LAB', lab));
  const line = [...inside, ...before, process.execPath, PROGRAM, ...words];
  return await start(line, lab, surrounding).ended(surrounding, command.join(' '), CLIENT_MS_MAX);
}

function start(
  [file = '', ...parameters]: readonly string[],
  lab: string,
  { environment = {} }: ServiceSurrounding,
): {
  child: ChildProcess;
  listens: (limitMs: number) => Promise<boolean>;
  ended: (surrounding: ServiceSurrounding, command: string, limitMs: number) => Promise<Trial>;
} {
  const startMs = Date.now();
  const child = spawn(file, parameters, {
    cwd: lab,
    env: {
      PATH: process.env['PATH'],
      LAB: lab,
      HYPERKEEP_HOME: join(lab, 'home'),
      XDG_CACHE_HOME: join(lab, 'cache'),
      HYPERKEEP_PASSPHRASE: PASSPHRASE,
      HTTP_PORT: '0',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  const heard = Promise.withResolvers<boolean>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_CHARACTERS_MAX);
      if (output.includes('listens')) {
        heard.resolve(true);
      }
    });
  }
  const closed = once(child, 'close') as Promise<[number | null]>;
  void closed.then(() => {
    heard.resolve(false);
  });
  const limited = async <T>(promise: Promise<T>, limitMs: number): Promise<T> => {
    const timer = setTimeout(() => {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    }, limitMs);
    return promise.finally(() => {
      clearTimeout(timer);
    });
  };
  return {
    child,
    listens: async (limitMs) => limited(heard.promise, limitMs),
    ended: async (surrounding, command, limitMs) => {
      const exitCode = (await limited(closed, limitMs))[0] ?? undefined;
      const durationMs = Date.now() - startMs;
      const wrong = wrongIn({ exitCode, output }, surrounding);
      return { surrounding: surrounding.name, command, exitCode, durationMs, output, wrong };
    },
  };
}

async function killDatabase(home: string): Promise<void> {
  const text = await readFile(join(home, 'postgres', 'data', 'postmaster.pid'), 'utf8').catch(
    () => '',
  );
  const pid = Number(text.split('\n')[0]);
  if (pid > 1) {
    process.kill(pid, 'SIGKILL');
  }
}
