import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import type { ServiceClient } from '../../../src/cli/service/service-client.ts';
import type { DiskReader } from '../../../src/disk/disk-reader.ts';
import { FakeEngine } from '../fake-engine/fake-engine.ts';
import { fakeVm } from '../fake-engine/fake-hands.ts';
import { seededBytes } from '../random/seeded-bytes.ts';
import { RealService } from '../service/real-service.ts';
import { DatabaseGate, type StatementKind } from './database-gate.ts';
import { EngineServer } from './engine-server.ts';
import type { HomeService } from './home-service.main.ts';
import type { KillStep } from './kills.ts';
import type { LimitsWatch } from './limits-watch.ts';
import { RealVm } from './real-vm.ts';

const SERVICE = join(import.meta.dirname, 'home-service.main.ts');
const FROM_DIST = new URL('./from-dist.ts', import.meta.url).href;
const DISK_BYTES = 16 * MiB;
const FIRST_BYTES = 3 * MiB;
const WRITE_BYTES_MAX = MiB;
const DISKS = ['system', 'data'];
const { signal } = new AbortController();

/** The claim of a job, and the end of one that took a point. */
const STATEMENTS: readonly StatementKind[] = [
  { step: 'job claim', pattern: /UPDATE "job" SET[^]*"claimed_by" = / },
  { step: 'row', pattern: /UPDATE "job" SET[^]*succeeded/ },
];

export interface HomeParts {
  readonly name: string;
  readonly folder: string;
  readonly databaseUrl: string;
  /** More settings of its service. */
  readonly settings: Readonly<Record<string, string>>;
  readonly clockBeganMs: number;
  readonly limits: LimitsWatch;
  readonly random: (limit: number) => number;
  /** @returns whether the service was killed there */
  readonly onStep: (home: Home, step: KillStep) => boolean;
}

/** What the disks of a VM held when somebody froze it. */
interface FrozenContent {
  readonly atMs: number;
  readonly disks: ReadonlyMap<string, DiskReader>;
}

/** A host: its fake VMs, and its service, which is a process that can be killed. */
export class Home implements AsyncDisposable {
  readonly name: string;
  readonly folder: string;
  readonly engine = new FakeEngine();
  /** Names of its fake VMs by their ids. */
  readonly fakes = new Map<string, string>();
  /** Its VM of the real engine, if it has one. */
  real: RealVm | undefined;
  /** Of its fake VMs, by id: the newest last. */
  readonly contents = new Map<string, FrozenContent[]>();
  readonly #parts: HomeParts;
  readonly #held = new Set<string>();
  readonly #stack = new AsyncDisposableStack();
  #server: EngineServer | undefined;
  #gate: DatabaseGate | undefined;
  #service: RealService | undefined;

  private constructor(parts: HomeParts) {
    this.name = parts.name;
    this.folder = join(parts.folder, parts.name);
    this.#parts = parts;
  }

  /** @param vms how many fake ones it has */
  static async make(parts: HomeParts, vms: number): Promise<Home> {
    const home = new Home(parts);
    await mkdir(home.folder);
    for (let number = 1; number <= vms; number++) {
      await home.#addVm(`${parts.name}-${String(number)}`);
    }
    const socket = join(parts.folder, `${parts.name}.engine`);
    home.#server = home.#stack.use(
      await EngineServer.open(home.engine, socket, ({ name, vm }, moment) =>
        home.#reached(vm, { name, moment }),
      ),
    );
    home.#gate = home.#stack.use(
      await DatabaseGate.to(parts.databaseUrl, STATEMENTS, (name, moment) =>
        parts.onStep(home, { name, moment }),
      ),
    );
    return home;
  }

  get service(): RealService {
    if (this.#service === undefined) {
      throw new Error(`the service of ${this.name} does not run`);
    }
    return this.#service;
  }

  get client(): ServiceClient {
    return this.service.client;
  }

  /** Whether its service runs and answers. */
  get isUp(): boolean {
    return this.#service !== undefined;
  }

  has(vm: string): boolean {
    return this.fakes.has(vm) || this.real?.definition.id === vm;
  }

  /** Names of the VMs that are frozen, or held although nobody is at work. */
  get frozen(): string[] {
    const held = [...this.#held].map((vm) => this.fakes.get(vm) ?? `the guest of ${this.name}`);
    return this.engine.frozen === 0 ? held : [...held, `a VM of ${this.name}`];
  }

  /** Adds a VM with a guest that writes; its service runs. */
  async addGuest(): Promise<void> {
    this.real = await RealVm.add(this.client, this.folder, `${this.name}-guest`);
  }

  /** Powers its guest off. @returns what is left of backups beside its disks */
  async stopGuest(): Promise<string[]> {
    if (this.real === undefined) {
      return [];
    }
    if (!this.isUp) {
      await this.start();
    }
    return this.real.stop(this.client);
  }

  async start(): Promise<void> {
    const { settings, clockBeganMs } = this.#parts;
    const given: HomeService = { engineSocket: this.#server?.socket ?? '', clockBeganMs };
    this.#service = await RealService.start(
      this.folder,
      signal,
      { ...settings, DATABASE_URL: this.#gate?.url ?? '' },
      [
        '--disable-warning=ExperimentalWarning',
        '--import',
        FROM_DIST,
        SERVICE,
        JSON.stringify(given),
      ],
    );
  }

  /** Kills its service, which can do nothing more when this returns. */
  shoot(): void {
    this.#service?.shoot();
  }

  /** Resolves when the killed service has ended. */
  async gone(): Promise<void> {
    const service = this.#service;
    this.#service = undefined;
    await service?.gone();
    for (const vm of this.#held) {
      this.#release(vm);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopGuest();
    const service = this.#service;
    this.#service = undefined;
    await service?.stop();
    await this.#stack.disposeAsync();
  }

  async #addVm(name: string): Promise<void> {
    const definition = fakeVm(name, DISK_BYTES);
    await this.engine.add(definition, signal);
    await this.engine.start(definition.id, signal);
    for (const disk of DISKS) {
      this.engine.write(definition.id, disk, 0, seededBytes(`${name} ${disk}`, FIRST_BYTES));
    }
    this.fakes.set(definition.id, name);
    this.contents.set(definition.id, []);
  }

  /** A call on a VM of this home. */
  #reached(vm: string, step: KillStep): boolean {
    const { name, moment } = step;
    const at = `${moment} ${name}`;
    if (at === 'after claim') {
      this.#hold(vm);
    } else if (name === 'unclaim') {
      this.#release(vm);
    } else if (this.fakes.has(vm) && at === 'before freeze') {
      this.#write(vm);
      this.#remember(vm);
    } else if (this.fakes.has(vm) && at === 'after freeze') {
      this.#write(vm);
    }
    // A fake engine writes its log as it freezes; whoever asks for the changes has it.
    const isLog = at === 'after changedSince';
    return this.#parts.onStep(this, isLog ? { name: 'log', moment } : step);
  }

  /** Does what the guest of a fake VM does. */
  #write(vm: string): void {
    const { random } = this.#parts;
    for (const disk of DISKS) {
      const length = 4096 + random(WRITE_BYTES_MAX);
      const bytes = seededBytes(`${vm} ${String(random(2 ** 31))}`, length);
      this.engine.write(vm, disk, random(DISK_BYTES - length), bytes);
    }
  }

  #remember(vm: string): void {
    const disks = new Map(DISKS.map((disk) => [disk, this.engine.read(vm, disk)]));
    this.contents.get(vm)?.push({ atMs: Date.now(), disks });
  }

  #hold(vm: string): void {
    this.#held.add(vm);
    for (const what of limitsOf(this.name)) {
      this.#parts.limits.begin(what, vm);
    }
  }

  #release(vm: string): void {
    this.#held.delete(vm);
    for (const what of limitsOf(this.name)) {
      this.#parts.limits.end(what, vm);
    }
  }
}

/** The limits that count a backup of a VM of this home. */
function limitsOf(home: string): string[] {
  return [hostLimit(home), ALL_HOSTS];
}

/** Name of the limit of a host. */
export function hostLimit(home: string): string {
  return `backups on ${home}`;
}

/** Name of the limit of the policy. */
export const ALL_HOSTS = 'backups of the policy';
