import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackupRequest } from '../../../src/backup/backup-request.ts';
import { BackupService, type TakenPoint } from '../../../src/backup/backup.service.ts';
import type { PointOfVault } from '../../../src/catalog/point-catalog.ts';
import type { FreezeOptions, FrozenVm } from '../../../src/engines/engine.ts';
import { GuestAgent } from '../../../src/engines/qemu/guest/guest-agent.ts';
import { QemuEngine, type QemuEngineOptions } from '../../../src/engines/qemu/qemu-engine.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { runCommand } from '../../../src/kernel/command.ts';
import { SilentLog } from '../../../src/kernel/log.ts';
import { createImage } from '../../../src/formats/image.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { DirectoryObjectStore } from '../../../src/vault/object-stores/folder/directory.ts';
import type { RecoveryPoint } from '../../../src/vault/points/recovery-point.ts';
import { Vault } from '../../../src/vault/vault.ts';
import type { VmDefinition } from '../../../src/vm/definition.ts';
import { contentHash } from './content-hash.ts';
import { FaultyObjectStore } from '../vault/faulty-object-store.ts';
import { makeGuestVm, SerialLog, type GuestVmOptions } from './guest.ts';
import { heldVault } from '../vault/held-vault.ts';

const AGENT_TIMEOUT_MS = 300_000;
/** Cheap keys: the tests are not about passphrases. */
const KDF = { memoryKib: 64, passes: 1, lanes: 1 };

/** A vault whose store can be told to fail. */
export interface LabVault {
  readonly id: string;
  vault: Vault;
  readonly key: Uint8Array;
  readonly store: FaultyObjectStore;
}

/**
 * A real writing guest, the real engine and real vaults in folders, wired as the service does it.
 */
export class BackupLab implements AsyncDisposable {
  readonly folder: string;
  readonly definition: VmDefinition;
  readonly signal = new AbortController().signal;
  readonly vaults: LabVault[] = [];
  /** Content hash of each frozen disk as qemu-img reads it, by job token and disk name. */
  readonly frozenHashes = new Map<string, Readonly<Record<string, string>>>();
  /** The disks whose frozen states are hashed. */
  hashedDisks: ReadonlySet<string> = new Set(['system', 'data']);
  engine: QemuEngine;

  private constructor(folder: string, definition: VmDefinition) {
    this.folder = folder;
    this.definition = definition;
    this.engine = this.newEngine();
  }

  static async create(options: GuestVmOptions = {}): Promise<BackupLab> {
    const folder = await mkdtemp(join(tmpdir(), 'hk-lab-'));
    const definition = await makeGuestVm(join(folder, 'disks'), options);
    const lab = new BackupLab(folder, definition);
    await lab.engine.add(definition, lab.signal);
    return lab;
  }

  newEngine(options: Partial<QemuEngineOptions> = {}): QemuEngine {
    return new QemuEngine({
      stateFolder: join(this.folder, 'state'),
      runFolder: join(this.folder, 'run'),
      ...options,
    });
  }

  async addVault(): Promise<LabVault> {
    const id = randomUUID();
    const folder = join(this.folder, `vault-${id}`);
    await mkdir(folder);
    const store = new FaultyObjectStore(new DirectoryObjectStore(folder));
    const vault = await this.createVault(store);
    const added = { id, vault, key: vault.exportKey(), store };
    this.vaults.push(added);
    return added;
  }

  private async createVault(store: ObjectStore): Promise<Vault> {
    const { vault } = await Vault.create(
      store,
      {
        name: 'lab',
        passphrase: 'a passphrase of the laboratory',
        parameters: { kdf: KDF },
        cacheFolder: join(this.folder, 'cache'),
      },
      this.signal,
    );
    return vault;
  }

  /** Makes a new engine and opens the vault again, as after a restart of the service. */
  async reopen(target: LabVault): Promise<void> {
    this.engine = this.newEngine();
    target.vault = await Vault.open(
      target.store,
      { kind: 'master-key', key: target.key },
      { cacheFolder: join(this.folder, 'cache') },
      this.signal,
    );
  }

  /** Starts the VM with `start`; returns once its guest is up and its writer writes. */
  async serialBoots(start: () => Promise<void>): Promise<void> {
    const { serialLog } = this.engine.paths(this.definition.id);
    await rm(serialLog, { force: true });
    await rm(`${serialLog}.1`, { force: true });
    await start();
    await this.serial.waitForReady();
    await this.serial.waitFor(/JOURNAL \d+ /);
  }

  get serial(): SerialLog {
    return new SerialLog(this.engine.paths(this.definition.id).serialLog);
  }

  /** Runs a program in the guest and returns what it printed. */
  async inGuest(path: string, ...parameters: string[]): Promise<string> {
    const { agent } = this.engine.paths(this.definition.id);
    await using connection = await GuestAgent.connect(agent, AGENT_TIMEOUT_MS, this.signal);
    const result = await connection.run(path, parameters, AGENT_TIMEOUT_MS, this.signal);
    if (result.exitCode !== 0) {
      throw new Error(`${path} failed in the guest: ${result.stdout}${result.stderr}`);
    }
    return result.stdout;
  }

  /** Backs up as the service does; the frozen state is hashed by qemu-img on the way. */
  async backUp(
    target: LabVault,
    jobId: string = randomUUID(),
    more: Partial<Pick<BackupRequest, 'origin' | 'guestCommands'>> = {},
  ): Promise<TakenPoint> {
    const service = new BackupService(
      {
        engine: {
          get: async (vm, signal) => this.engine.get(vm, signal),
          claim: async (vm, job, signal) => this.engine.claim(vm, job, signal),
          freeze: async (vm, options, signal) => this.freezeAndHash(vm, options, signal),
          distrust: async (vm, disk, signal, claim) =>
            this.engine.distrust(vm, disk, signal, claim),
          runInGuest: async (claim, command, signal) =>
            this.engine.runInGuest(claim, command, signal),
          oweGuest: async (claim, commands, signal) =>
            this.engine.oweGuest(claim, commands, signal),
          payGuest: async (claim, signal) => this.engine.payGuest(claim, signal),
        },
        vaults: { open: async () => heldVault(target.vault) },
        points: { newestOf: async () => this.newestPoints(), put: async () => undefined },
        host: { id: 'lab' },
      },
      new SystemClock(),
      new SilentLog(),
    );
    return service.takeRecoveryPoint(
      {
        ...{ vmId: this.definition.id, vaultId: target.id, crashConsistent: false, full: false },
        ...more,
      },
      { jobId, signal: this.signal, report: () => undefined },
    );
  }

  /** Restores a disk of a point to a raw file and returns its path. */
  async restore(target: LabVault, point: RecoveryPoint, diskName: string): Promise<string> {
    const disk = point.disks.find(({ name }) => name === diskName);
    if (disk === undefined) {
      throw new Error(`no disk ${diskName} in the point`);
    }
    const path = join(this.folder, `${randomUUID()}.raw`);
    await using writer = await createImage(path, 'raw', disk.sizeBytes, this.signal);
    await target.vault.restoreDisk({ pointId: point.id, diskId: disk.diskId }, writer, {
      signal: this.signal,
    });
    return path;
  }

  async hash(rawFile: string): Promise<string> {
    return contentHash(rawFile, this.signal);
  }

  /** The files of each disk, base first, as the engine's state file names them. */
  async layers(): Promise<Record<string, string[]>> {
    const { state } = this.engine.paths(this.definition.id);
    const { disks } = JSON.parse(await readFile(state, 'utf8')) as {
      disks: { id: string; layers: { path: string }[] }[];
    };
    return Object.fromEntries(
      disks.map(({ id, layers }) => [
        this.definition.disks.find((disk) => disk.id === id)?.name ?? id,
        layers.map(({ path }) => path),
      ]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close();
    const engine = this.newEngine();
    // The VM may be gone already, or its state be damaged on purpose.
    await engine.stop(this.definition.id, { force: true }, this.signal).catch(() => undefined);
    await engine.close();
    for (const { vault } of this.vaults) {
      await vault.close();
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  private async freezeAndHash(
    vm: string,
    options: FreezeOptions,
    signal: AbortSignal,
  ): Promise<FrozenVm> {
    const frozen = await this.engine.freeze(vm, options, signal);
    const hashes: Record<string, string> = {};
    for (const [name, layers] of Object.entries(await this.layers())) {
      if (!this.hashedDisks.has(name)) {
        continue;
      }
      const top = layers.at(-2);
      if (top === undefined) {
        throw new Error(`disk ${name} has no frozen layer`);
      }
      hashes[name] = await this.hashChain(top);
    }
    this.frozenHashes.set(options.jobToken, hashes);
    return frozen;
  }

  /** What qemu-img reads from a layer and everything below it. */
  private async hashChain(path: string): Promise<string> {
    const copy = join(this.folder, `${randomUUID()}.copy`);
    await runCommand('qemu-img', ['convert', '-O', 'raw', path, copy], this.signal);
    const hash = await this.hash(copy);
    await rm(copy);
    return hash;
  }

  private async newestPoints(): Promise<PointOfVault[]> {
    const newest: PointOfVault[] = [];
    for (const { id, vault } of this.vaults) {
      const point = (await vault.points(this.signal, this.definition.id)).at(-1);
      if (point !== undefined) {
        newest.push({ vaultId: id, point });
      }
    }
    return newest;
  }
}
