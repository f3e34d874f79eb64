import { once, EventEmitter } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../../src/api/contract/policy/runs.ts';
import { ServiceClient } from '../../../src/cli/service/service-client.ts';
import { GuestAgent } from '../../../src/engines/qemu/guest/guest-agent.ts';
import type { VmDefinition } from '../../../src/vm/definition.ts';
import { makeGuestVm, SerialLog } from '../guest/guest.ts';
import { SmallDisk } from '../guest/small-disk.ts';
import { HandClock } from '../schedule/hand-clock.ts';
import { openS3TestServer } from '../s3/minio.ts';
import { S3Gate, type GateRequest } from '../s3/s3-gate.ts';
import { TcpProxy } from '../s3/tcp-proxy.ts';
import { ChangedEnvironment } from './changed-environment.ts';
import { createDatabase, type TestDatabase } from './database.ts';
import { proxyToDatabase, type DatabaseProxy } from './database-proxy.ts';
import { WholeService, type LogLine } from './whole-service.ts';

const MiB = 1024 * 1024;
const AGENT_MS = 120_000;
const { signal } = new AbortController();

/** Knows how often the scheduler has asked it for the time. */
class WatchedClock extends HandClock {
  private looks = 0;
  private readonly looked = new EventEmitter().setMaxListeners(0);

  override async problem(): Promise<string | undefined> {
    this.looks += 1;
    this.looked.emit('look');
    return super.problem();
  }

  /** Resolves once the scheduler has begun so many more looks. */
  async looksAgain(more: number): Promise<void> {
    const until = this.looks + more;
    while (this.looks < until) {
      await once(this.looked, 'look');
    }
  }
}

/**
 * A whole service with the time of policies in the hands of the test: its database and its store
 * can be cut off, the disks of its home and of a vault in a folder can be filled. It has one guest
 * that runs and writes.
 */
export class OutageLab implements AsyncDisposable {
  readonly clock = new WatchedClock(new Date().toISOString());
  home!: SmallDisk;
  folderVault!: SmallDisk;
  database!: DatabaseProxy;
  store!: TcpProxy;
  gate!: S3Gate;
  service!: WholeService;
  client!: ServiceClient;
  serial!: SerialLog;
  readonly folder: string;
  private guest!: VmDefinition;
  private rows!: TestDatabase;
  private readonly ending = new AsyncDisposableStack();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<OutageLab> {
    const lab = new OutageLab(await mkdtemp('/tmp/hk-outage-'));
    lab.ending.defer(async () => rm(lab.folder, { recursive: true }));
    try {
      await lab.begin();
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  private async begin(): Promise<void> {
    this.home = await this.small('home', 128);
    this.folderVault = await this.small('vaults', 192);
    this.rows = await createDatabase();
    this.ending.defer(this.rows.drop);
    this.database = await proxyToDatabase(this.rows.url);
    this.ending.defer(async () => this.database.proxy.cut());
    const place = await this.openStore();
    const settings = {
      HYPERKEEP_HOME: this.home.path,
      DATABASE_URL: this.database.url,
      STORE_PATIENCE: '1s',
      VAULT_PACK_SIZE: '16MiB',
    };
    this.service = new WholeService(settings, { schedulingClock: this.clock });
    this.ending.defer(async () => this.service.stop());
    await this.service.started();
    this.client = await ServiceClient.locate({ homeFolder: this.home.path }, signal);
    const folder = { location: join(this.folderVault.path, 'vault') };
    for (const [name, where] of Object.entries({ bucket: place, folder })) {
      const body = { name, passphrase: 'correct horse battery staple', ...where };
      await this.client.call('createVault', { body }, signal);
    }
    await this.startGuest();
  }

  private async small(name: string, mib: number): Promise<SmallDisk> {
    const disk = await SmallDisk.mount(join(this.folder, name), mib);
    this.ending.defer(() => {
      disk.unmount();
    });
    return disk;
  }

  private async openStore(): Promise<{ location: string; endpoint: string }> {
    const server = await openS3TestServer();
    this.ending.defer(async () => server.stop());
    const { credentials, endpoint } = server.options;
    const environment = this.ending.use(new ChangedEnvironment());
    if (credentials !== undefined) {
      environment.set('AWS_ACCESS_KEY_ID', credentials.accessKeyId);
      environment.set('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey);
    }
    this.gate = await S3Gate.to(endpoint);
    this.ending.defer(async () => this.gate.close());
    this.store = await TcpProxy.toEndpoint(this.gate.endpoint);
    this.ending.defer(async () => this.store.cut());
    return { location: `s3://${server.bucket}/vault`, endpoint: this.store.endpoint };
  }

  private async startGuest(): Promise<void> {
    const disks = join(this.folder, 'disks');
    this.guest = await makeGuestVm(disks, { dataBytes: 256 * MiB, writerPauseMs: 150 });
    await this.client.call('addVm', { body: this.guest }, signal);
    this.ending.defer(async () => {
      const vm = { path: { vm: 'guest' }, body: { force: true } };
      await this.client.call('stopVm', vm, signal);
    });
    await this.client.call('startVm', { path: { vm: 'guest' } }, signal);
    this.serial = new SerialLog(join(this.runFolder, 'serial.log'));
    await this.serial.waitForReady();
  }

  /**
   * Makes this the only policy: it has the guest and a vault, and fires every six hours, from the
   * time of the lab's clock on.
   */
  async apply(name: string, vault: string): Promise<void> {
    const policy = { name, selector: { all: true }, vault, schedule: { every: '6h' } };
    // Nothing is protected by it: running it makes the service look at once.
    const nudge = { name: 'nudge', selector: { tags: ['none'] }, vault, schedule: { every: '1d' } };
    // Its jobs would come between those that a test counts.
    const never = ['prune', 'scrub', 'keep'];
    const care = ['bucket', 'folder'].map((each) => ({ vault: each, never }));
    const text = JSON.stringify({ policies: [policy, nudge], care });
    this.clock.wrong = 'a policy is being applied';
    await this.client.call('applyPolicies', { body: { text, prune: true } }, signal);
    await this.rows.run(`UPDATE "policy" SET "horizon_ms" = ${String(this.clock.ms)}`);
    this.clock.wrong = undefined;
  }

  /** Lets so much time pass, and the scheduler look. */
  async pass(minutes: number): Promise<void> {
    this.clock.pass(minutes);
    await this.look();
  }

  async look(): Promise<void> {
    await this.client.call('runPolicy', { path: { policy: 'nudge' }, body: {} }, signal);
  }

  /** The runs of a policy, oldest first. */
  async runs(policy: string): Promise<Run[]> {
    const query = { policy, limit: '1000' };
    return (await this.client.call('listRuns', { query }, signal)).runs.reverse();
  }

  /** Looks again at each end of a job and each change of a run until a run of the policy is so. */
  async until(policy: string, isSo: (run: Run) => boolean): Promise<Run> {
    for (;;) {
      const { length } = this.service.log;
      const found = (await this.runs(policy)).find(isSo);
      if (found !== undefined) {
        return found;
      }
      await this.service.until(() => this.service.log.length > length);
    }
  }

  /** Points of the guest in a vault, as the vault lists them. */
  async points(vault: string): Promise<{ readonly id: string; readonly run: string }[]> {
    const query = { vault, refresh: 'true' };
    const { points } = await this.client.call('listPoints', { query }, signal);
    return points.map(({ id, origin }) => ({ id, run: origin?.run ?? '' }));
  }

  /** Puts random bytes on the guest's disk, so that a backup has several packs to write. */
  async writeInGuest(mib: number): Promise<void> {
    const words = ['if=/dev/urandom', 'of=/data/ballast', 'bs=1M', `count=${String(mib)}`];
    await this.agent(async (agent) =>
      agent.run('/bin/dd', [...words, 'conv=fsync'], AGENT_MS, signal),
    );
  }

  /** Fails unless the guest is thawed, its writer goes on, and no layer of a backup is left. */
  async expectGuestWell(): Promise<void> {
    expect(await this.agent(async (agent) => agent.freezeStatus(AGENT_MS, signal))).toBe('thawed');
    const { lines } = await this.serial.lastJournalLine();
    await this.serial.waitForJournal(lines + 2);
    const vm = await this.client.call('getVm', { path: { vm: 'guest' } }, signal);
    expect(vm).toMatchObject({ status: 'running', warnings: [] });
  }

  private async agent<T>(use: (agent: GuestAgent) => Promise<T>): Promise<T> {
    await using agent = await GuestAgent.connect(join(this.runFolder, 'agent'), AGENT_MS, signal);
    return await use(agent);
  }

  private get runFolder(): string {
    return join(this.home.path, 'run', this.guest.id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ending.disposeAsync();
  }
}

/** Returns the objects that were written, by kind: how often each. */
export function writes(requests: readonly GateRequest[], step: string): number[] {
  const done = requests.filter((request) => request.step === step && request.isDone);
  return [...Map.groupBy(done, ({ path }) => path).values()].map(({ length }) => length);
}

/** Returns how often each of these events was logged. */
export function told(log: readonly LogLine[], ...events: string[]): Record<string, number> {
  return Object.fromEntries(
    events.map((name) => [name, log.filter(({ event }) => event === name).length]),
  );
}
