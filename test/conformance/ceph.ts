import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findProgram as find } from '../../scripts/setup/debian.mjs';
import { plainEnvironment, runCommand } from '../../src/kernel/command.ts';
import { freePort, type TriedServer } from './servers.ts';

/** The line that brings the programs on Debian. */
const INSTALL = 'apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common';
const PROGRAMS = ['radosgw', 'radosgw-admin', 'ceph-mon', 'ceph-osd', 'ceph', 'ceph-authtool'];
const REGION = 'us-east-1';
const COMMAND_MS = 60_000;
const START_POLLS_MAX = 600;
const START_POLL_MS = 100;

/** Undefined where there is none. */
function findProgram(name: string): string | undefined {
  return find(name) as string | undefined;
}

/**
 * A cluster of one monitor and one storage daemon that keeps objects in memory, with a gateway
 * before it.
 */
export async function openCeph(): Promise<TriedServer | undefined> {
  const missing = PROGRAMS.filter((name) => findProgram(name) === undefined);
  if (missing.length > 0) {
    console.log(`Ceph RGW is not tried, there is no ${missing.join(', ')}: ${INSTALL}`);
    return undefined;
  }
  const cluster = await Cluster.create();
  try {
    await cluster.startMonitor();
    await cluster.startStorage();
    return await cluster.startGateway();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

class Cluster {
  readonly #folder: string;
  readonly #fsid = randomUUID();
  readonly #ports: { readonly monitor: number; readonly gateway: number };
  readonly #children: ChildProcess[] = [];
  readonly #killAll = (): void => {
    for (const child of this.#children) {
      child.kill('SIGKILL');
    }
  };

  private constructor(folder: string, ports: { monitor: number; gateway: number }) {
    this.#folder = folder;
    this.#ports = ports;
    process.once('exit', this.#killAll);
  }

  static async create(): Promise<Cluster> {
    const folder = await mkdtemp(join(tmpdir(), 'hk-ceph-'));
    const cluster = new Cluster(folder, { monitor: await freePort(), gateway: await freePort() });
    for (const name of ['mon', 'osd', 'rgw']) {
      await mkdir(join(folder, name));
    }
    await writeFile(cluster.#path('ceph.conf'), cluster.#configuration());
    return cluster;
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  #configuration(): string {
    const { monitor, gateway } = this.#ports;
    return `[global]
fsid = ${this.#fsid}
mon_host = v2:127.0.0.1:${String(monitor)}
public_network = 127.0.0.0/8
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = ${this.#path('keyring')}
run_dir = ${this.#folder}
admin_socket = ${this.#folder}/$name.sock
log_file = ${this.#folder}/$name.log
crash_dir = ${this.#folder}
pid_file =
mon_data = ${this.#path('mon')}
osd_data = ${this.#path('osd')}
rgw_data = ${this.#path('rgw')}
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
rgw_frontends = beast endpoint=127.0.0.1:${String(gateway)}
`;
  }

  async startMonitor(): Promise<void> {
    const [keyring, map] = [this.#path('keyring'), this.#path('monmap')];
    const all = ['mon', 'osd', 'mgr', 'mds'].flatMap((cap) => ['--cap', cap, 'allow *']);
    const create = ['--create-keyring', keyring, '--gen-key'];
    await this.#run('ceph-authtool', [...create, '-n', 'client.admin', ...all]);
    const add = [keyring, '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *'];
    await this.#run('ceph-authtool', add);
    const address = `[v2:127.0.0.1:${String(this.#ports.monitor)}]`;
    const made = ['--create', '--addv', 'a', address, '--fsid', this.#fsid, map];
    await this.#run('monmaptool', made);
    const mkfs = ['--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring];
    await this.#run('ceph-mon', [...this.#conf(), ...mkfs]);
    this.#start('ceph-mon', ['-i', 'a']);
  }

  async startStorage(): Promise<void> {
    const uuid = randomUUID();
    // Waits until the monitor answers.
    await this.#run('ceph', [...this.#conf(), 'osd', 'new', uuid]);
    const caps = ['mon', 'allow profile osd', 'osd', 'allow *'];
    const keyring = ['-o', this.#path('osd/keyring')];
    await this.#run('ceph', [
      ...this.#conf(),
      'auth',
      'get-or-create',
      'osd.0',
      ...caps,
      ...keyring,
    ]);
    const own = ['-i', '0', '--keyring', this.#path('osd/keyring')];
    await this.#run('ceph-osd', [...this.#conf(), ...own, '--mkfs', '--osd-uuid', uuid]);
    this.#start('ceph-osd', own);
  }

  async startGateway(): Promise<TriedServer> {
    const credentials = {
      accessKeyId: randomBytes(10).toString('hex'),
      secretAccessKey: randomBytes(20).toString('hex'),
    };
    const user = ['user', 'create', '--uid=app', '--display-name=app'];
    const keys = [
      `--access-key=${credentials.accessKeyId}`,
      `--secret=${credentials.secretAccessKey}`,
    ];
    await this.#run('radosgw-admin', [...this.#conf(), ...user, ...keys]);
    this.#start('radosgw', ['--name', 'client.admin']);
    const endpoint = `http://127.0.0.1:${String(this.#ports.gateway)}`;
    await answersHttp(endpoint);
    const { stdout } = await this.#run('radosgw', ['--version']);
    const version = /version (\S+)/.exec(stdout)?.[1] ?? stdout.trim();
    const options = { endpoint, credentials, region: REGION };
    return { name: 'Ceph RGW', version, options, stop: () => this.stop() };
  }

  async stop(): Promise<void> {
    process.removeListener('exit', this.#killAll);
    for (const child of this.#children.reverse()) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  #conf(): string[] {
    return ['-c', this.#path('ceph.conf')];
  }

  #start(program: string, words: readonly string[]): void {
    const path = findProgram(program) ?? program;
    const parameters = [...this.#conf(), '-f', ...words];
    const child = spawn(path, parameters, { env: plainEnvironment(), stdio: 'ignore' });
    this.#children.push(child);
  }

  async #run(program: string, words: readonly string[]): ReturnType<typeof runCommand> {
    const signal = AbortSignal.timeout(COMMAND_MS);
    return await runCommand(findProgram(program) ?? program, words, signal);
  }
}

async function answersHttp(endpoint: string): Promise<void> {
  for (let poll = 0; poll < START_POLLS_MAX; poll++) {
    try {
      const answer = await fetch(endpoint);
      await answer.arrayBuffer();
      if (answer.ok) {
        return;
      }
    } catch {
      // Nobody listens yet.
    }
    await pause(START_POLL_MS);
  }
  throw new Error(`Ceph RGW does not answer at ${endpoint}`);
}
