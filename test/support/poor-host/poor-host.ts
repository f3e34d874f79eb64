import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { seededBytes } from '../random/seeded-bytes.ts';
import { COMMANDS, type Surrounding } from './surroundings.ts';
import {
  OUTPUT_CHARACTERS_MAX,
  PASSPHRASE,
  PROGRAM,
  SECRET_KEY,
  wrongIn,
  type Trial,
} from './trial.ts';

const IMAGE_BYTES = 2 * 1024 * 1024;
/**
 * A store that is silent is tried for two minutes; the attempts before and after take two minutes
 * each.
 */
const RUN_MS_MAX = 10 * 60 * 1000;

/** A vault with a point, an image, and a user who types commands on a host that lacks something. */
export class PoorHost implements AsyncDisposable {
  readonly #folder: string;
  readonly #seed: string;
  readonly #servers = new Map<string, Server>();

  private constructor(folder: string, seed: string) {
    this.#folder = folder;
    this.#seed = seed;
  }

  static async open(seed: string): Promise<PoorHost> {
    const host = new PoorHost(await mkdtemp(join(tmpdir(), 'hk-poor-')), seed);
    await host.#prepare();
    return host;
  }

  async run(surrounding: Surrounding, command: string): Promise<Trial> {
    const lab = await mkdtemp(join(this.#folder, 'lab-'));
    await cp(join(this.#folder, 'model'), lab, { recursive: true });
    const words = await this.#words(surrounding, command, lab);
    const startMs = Date.now();
    const { exitCode, output } = await this.#spawn(surrounding, words, lab);
    await rm(lab, { recursive: true });
    const wrong = wrongIn({ exitCode, output }, surrounding);
    const durationMs = Date.now() - startMs;
    return { surrounding: surrounding.name, command, exitCode, durationMs, output, wrong };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers.values()) {
      server.closeAllConnections();
      server.close();
    }
    await rm(this.#folder, { recursive: true });
  }

  async #prepare(): Promise<void> {
    const model = join(this.#folder, 'model');
    for (const name of ['out', 'cache']) {
      await mkdir(join(model, name), { recursive: true });
    }
    await writeFile(join(model, 'disk.raw'), seededBytes(this.#seed, IMAGE_BYTES));
    const nothing: Surrounding = { name: 'preparation', script: '' };
    const create = ['create', '--vault', '$LAB/vault', '--recovery-file', '$LAB/recovery.txt'];
    for (const words of [create, [...(COMMANDS['import'] ?? [])]]) {
      const typed = words.map((word) =>
        word.replace('$LAB', model).replace('@vault', join(model, 'vault')),
      );
      const { exitCode, output } = await this.#spawn(nothing, typed, model);
      if (exitCode !== 0) {
        throw new Error(`the lab could not be made: ${output}`);
      }
    }
    await rm(join(model, 'cache'), { recursive: true });
    await mkdir(join(model, 'cache'));
  }

  async #words(surrounding: Surrounding, command: string, lab: string): Promise<string[]> {
    const endpoint = await this.#endpoint(surrounding);
    const place = (name: string): string =>
      endpoint === undefined ? join(lab, name) : `s3://bucket/${name}`;
    const words = (COMMANDS[command] ?? []).map((word) =>
      word.replace('$LAB', lab).replace('@vault', place('vault')).replace('@new', place('new')),
    );
    if (endpoint === undefined) {
      return words;
    }
    const option = words.includes('--from') ? '--from-endpoint' : '--endpoint';
    return [...words, option, endpoint];
  }

  async #endpoint({ store }: Surrounding): Promise<string | undefined> {
    if (store === undefined) {
      return undefined;
    }
    let server = this.#servers.get(store);
    if (server === undefined) {
      server = createServer((request, response) => {
        request.resume();
        if (store === 'slow') {
          void pause(2000).then(() => response.writeHead(503).end());
        } else if (store === 'wrong-time') {
          response.writeHead(403, { date: new Date(Date.now() - 86_400_000).toUTCString() });
          response.end('<Error><Code>RequestTimeTooSkewed</Code><Message>x</Message></Error>');
        }
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      this.#servers.set(store, server);
    }
    const { port } = server.address() as AddressInfo;
    return `http://127.0.0.1:${String(store === 'closed' ? 1 : port)}`;
  }

  async #spawn(
    { script, before = [], environment = {} }: Surrounding,
    words: readonly string[],
    lab: string,
  ): Promise<{ exitCode: number | undefined; output: string }> {
    const mounts = script.includes('mount') ? ['unshare', '--mount'] : [];
    const run = `set -e; ( ${script} ); exec "$@"`;
    const shell = script === '' ? [] : [...mounts, 'sh', '-c', run, 'sh'];
    const line = [...shell, ...before, process.execPath, PROGRAM, 'rescue', ...words];
    const variables: Record<string, string | undefined> = {
      PATH: process.env['PATH'],
      LAB: lab,
      USER_HOME: userInfo().homedir,
      XDG_CACHE_HOME: join(lab, 'cache'),
      HYPERKEEP_PASSPHRASE: PASSPHRASE,
      AWS_ACCESS_KEY_ID: 'nobody',
      AWS_SECRET_ACCESS_KEY: SECRET_KEY,
      AWS_REGION: 'us-east-1',
      ...environment,
    };
    if (variables['XDG_CACHE_HOME'] === '') {
      delete variables['XDG_CACHE_HOME'];
    }
    const [file = '', ...parameters] = line;
    const child = spawn(file, parameters, {
      cwd: lab,
      env: variables,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-OUTPUT_CHARACTERS_MAX);
      });
    }
    const timer = setTimeout(() => {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    }, RUN_MS_MAX);
    const [exitCode] = (await once(child, 'close')) as [number | null];
    clearTimeout(timer);
    return { exitCode: exitCode ?? undefined, output };
  }
}
