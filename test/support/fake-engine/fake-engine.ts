import { Fault } from '../../../src/kernel/fault.ts';
import { SystemClock, type Clock } from '../../../src/kernel/clock.ts';
import type { Extent } from '../../../src/disk/extent.ts';
import type { DiskReader } from '../../../src/disk/disk-reader.ts';
import type { VmDefinition } from '../../../src/vm/definition.ts';
import {
  Engine,
  type AcceptedDisk,
  type Claim,
  type FreezeOptions,
  type FrozenVm,
  type StopOptions,
  type VmId,
  type VmStatus,
  type VmSummary,
  type WriteLatencies,
} from '../../../src/engines/engine.ts';
import type { GuestCommand, GuestCommandEnd } from '../../../src/engines/guest-command.ts';
import { FakeDisk } from './fake-disk.ts';
import { FakeClaim, giveBack, LATENCY_BOUNDS_MS, type FakeVm } from './fake-vm.ts';

/** An engine with everything in memory. Its guests write when a test tells them to. */
export class FakeEngine extends Engine {
  override readonly kind = 'fake';
  private readonly clock: Clock;
  private readonly vms = new Map<VmId, FakeVm>();
  private failures: Error[] = [];
  /** Programs that ran in guests, in order. */
  readonly ranInGuests: string[] = [];
  /** How programs end that do not end with success: an exit code, or why there is none. */
  readonly guestPrograms = new Map<string, number | string>();
  /** Guests that do not freeze in time, with the reason. */
  readonly lateGuests = new Map<VmId, string>();
  /** How long after the others a VM's snapshot is taken. */
  readonly skewsMs = new Map<VmId, number>();
  /** VMs with an image that somebody writes while it is read. */
  readonly writtenImages = new Set<VmId>();

  constructor(clock: Clock = new SystemClock()) {
    super();
    this.clock = clock;
  }

  /** How many VMs are frozen now. */
  get frozen(): number {
    return [...this.vms.values()].filter(({ frozen }) => frozen).length;
  }

  /** Writes to the disk called `disk`, as a guest would. */
  write(vm: VmId, disk: string, offset: number, bytes: Uint8Array): void {
    this.disk(vm, disk).write(offset, bytes);
    this.countWrites(vm, 1, 0);
  }

  /** Lets the guest have made `count` writes that took this long. */
  countWrites(vm: VmId, count: number, durationMs: number): void {
    const { writes } = this.vm(vm);
    const found = LATENCY_BOUNDS_MS.findIndex((bound) => durationMs < bound);
    const index = found === -1 ? LATENCY_BOUNDS_MS.length : found;
    writes[index] = (writes[index] ?? 0) + count;
  }

  setEmulated(vm: VmId): void {
    this.vm(vm).isEmulated = true;
  }

  /** Writes without change tracking noticing it, as a defect would. */
  writeUnnoticed(vm: VmId, disk: string, offset: number, bytes: Uint8Array): void {
    this.disk(vm, disk).writeUnnoticed(offset, bytes);
  }

  /** Zeroes an extent, as a guest's TRIM does. */
  zero(vm: VmId, disk: string, extent: Extent): void {
    this.disk(vm, disk).zero(extent);
  }

  /** Opens the present content; close it. */
  read(vm: VmId, disk: string): DiskReader {
    return this.disk(vm, disk).reader();
  }

  async resize(vm: VmId, disk: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
    await this.disk(vm, disk).resize(sizeBytes, signal);
    this.renewDefinition(this.vm(vm));
  }

  addDisk(vm: VmId, definition: VmDefinition['disks'][number]): void {
    const found = this.vm(vm);
    this.vms.set(vm, { ...found, disks: [...found.disks, new FakeDisk(definition)] });
    this.renewDefinition(this.vm(vm));
  }

  setNvram(vm: VmId, nvram: Uint8Array): void {
    this.vm(vm).nvram = nvram.slice();
  }

  setStatus(vm: VmId, status: VmStatus, warnings: readonly string[] = []): void {
    Object.assign(this.vm(vm), { status, warnings: [...warnings] });
  }

  /** Acts as if somebody had touched the disk behind the engine's back. */
  replaceTracking(vm: VmId, disk: string): void {
    this.disk(vm, disk).replaceTracking();
  }

  /** Acts as if the change log had been lost. */
  forgetChanges(vm: VmId, disk: string): void {
    this.disk(vm, disk).forgetChanges();
  }

  /** Makes the next freeze fail with `error` before it does anything. */
  failNextFreeze(error: Error): void {
    this.failures.push(error);
  }

  override async ids(signal: AbortSignal): Promise<string[]> {
    signal.throwIfAborted();
    return [...this.vms.keys()];
  }

  override async list(signal: AbortSignal): Promise<VmSummary[]> {
    signal.throwIfAborted();
    return [...this.vms.values()].map(summaryOf);
  }

  override async get(vm: VmId, signal: AbortSignal): Promise<VmSummary> {
    signal.throwIfAborted();
    return summaryOf(this.vm(vm));
  }

  override async add(definition: VmDefinition, signal: AbortSignal): Promise<VmSummary> {
    signal.throwIfAborted();
    for (const { definition: other } of this.vms.values()) {
      if (other.id === definition.id || other.name === definition.name) {
        throw new Fault('engine.vm-exists', `The VM ${definition.name} is already there.`, {
          vmId: definition.id,
        });
      }
    }
    const added: FakeVm = {
      definition,
      status: 'stopped',
      warnings: [],
      frozen: false,
      fence: 0,
      claim: undefined,
      disks: definition.disks.map((disk) => new FakeDisk(disk)),
      distrusted: new Set(),
      owed: [],
      nvram: undefined,
      writes: [0, ...LATENCY_BOUNDS_MS.map(() => 0)],
      isEmulated: false,
    };
    this.vms.set(definition.id, added);
    return summaryOf(added);
  }

  override async claim(vm: VmId, jobId: string, signal: AbortSignal): Promise<Claim> {
    signal.throwIfAborted();
    const found = this.idle(vm);
    const claim = new FakeClaim(found, jobId);
    found.claim = claim;
    return claim;
  }

  override async start(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void> {
    signal.throwIfAborted();
    this.vm(vm, claim).status = 'running';
  }

  override async stop(
    vm: VmId,
    _options: StopOptions,
    signal: AbortSignal,
    claim?: Claim,
  ): Promise<void> {
    signal.throwIfAborted();
    this.vm(vm, claim).status = 'stopped';
  }

  override async release(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<VmDefinition> {
    signal.throwIfAborted();
    const { definition, status } = this.idle(vm, claim);
    if (status !== 'stopped') {
      throw new Fault('engine.vm-running', `${definition.name} is running. Stop it first.`, {
        vmId: vm,
      });
    }
    this.vms.delete(vm);
    return definition;
  }

  override async destroy(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void> {
    signal.throwIfAborted();
    this.idle(vm, claim);
    this.vms.delete(vm);
  }

  override async freeze(vm: VmId, options: FreezeOptions, signal: AbortSignal): Promise<FrozenVm> {
    signal.throwIfAborted();
    const found = this.idle(vm, options.claim);
    const failure = this.failures.shift();
    if (failure !== undefined) {
      throw failure;
    }
    const late = this.lateGuests.get(vm);
    const { meeting } = options;
    await meeting?.whenPrepared(signal);
    await meeting?.whenFrozen(found.definition.name, late, signal);
    const atMs = this.clock.monotonicMs() + (this.skewsMs.get(vm) ?? 0);
    const disks = found.disks
      .filter(({ definition }) => !definition.excluded)
      .map((disk) => disk.freeze(options.neededGenerations?.[disk.definition.id]));
    found.frozen = true;
    const claim = options.claim ?? new FakeClaim(found, options.jobToken);
    return {
      takenAtMs: this.clock.nowMs(),
      ...(late === undefined
        ? consistencyOf(found, options)
        : {
            ...consistencyOf(found, { ...options, crashConsistent: true }),
            consistencyReason: late,
          }),
      ...(found.status !== 'stopped' && { transaction: { fromMs: atMs, toMs: atMs + 1 } }),
      definition: found.definition,
      ...(found.nvram === undefined ? {} : { nvram: found.nvram.slice() }),
      disks,
      warnings: [],
      ...(found.status !== 'stopped' && {
        guestWriteLatency: async (stop: AbortSignal) => latenciesOf(found, stop),
      }),
      assertUnchanged: async () => {
        if (this.writtenImages.has(vm)) {
          throw new Fault('engine.image-changed', 'An image was written while it was read.');
        }
      },
      [Symbol.asyncDispose]: async () => {
        await Promise.all(disks.map(async ({ reader }) => reader.close()));
        if (found.fence === claim.fence) {
          giveBack(found);
        }
      },
    };
  }

  override async runInGuest(
    { vmId }: Claim,
    { words: [program = ''] }: GuestCommand,
    signal: AbortSignal,
  ): Promise<GuestCommandEnd> {
    signal.throwIfAborted();
    const how = this.guestPrograms.get(program) ?? 0;
    this.ranInGuests.push(program);
    return {
      program,
      ...(typeof how === 'number' ? { exitCode: how } : { problem: how }),
      ...{ output: `${program} in ${vmId}\n`, isCut: false, durationMs: 1 },
    };
  }

  override async oweGuest(
    claim: Claim,
    commands: readonly GuestCommand[],
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    this.vm(claim.vmId, claim).owed = [...commands];
  }

  override async payGuest(claim: Claim, signal: AbortSignal): Promise<GuestCommandEnd[]> {
    const vm = this.vm(claim.vmId, claim);
    const ends: GuestCommandEnd[] = [];
    for (let next = vm.owed.shift(); next !== undefined; next = vm.owed.shift()) {
      ends.push(await this.runInGuest(claim, next, signal));
    }
    return ends;
  }

  override async distrust(
    vm: VmId,
    diskId: string,
    signal: AbortSignal,
    claim?: Claim,
  ): Promise<void> {
    signal.throwIfAborted();
    const found = claim === undefined ? this.idle(vm) : this.vm(vm, claim);
    const disk = found.disks.find(({ definition }) => definition.id === diskId);
    if (disk === undefined) {
      return;
    }
    if (found.frozen) {
      found.distrusted.add(disk);
    } else {
      disk.replaceTracking();
    }
  }

  /** Nobody can change what is in memory from outside. */
  override async accept(vm: VmId): Promise<AcceptedDisk[]> {
    this.vm(vm);
    return [];
  }

  /** Memory does not survive a crash, so there are only frozen VMs of jobs that died. */
  override async reconcile(signal: AbortSignal): Promise<string[]> {
    signal.throwIfAborted();
    const actions: string[] = [];
    for (const vm of this.vms.values()) {
      vm.claim = undefined;
      if (vm.frozen) {
        giveBack(vm);
        actions.push(`${vm.definition.name}: a freeze that nobody holds was given up`);
      }
    }
    return actions;
  }

  override giveUpMerges(): void {
    // Nothing is merged.
  }

  override async close(): Promise<void> {
    // Nothing is watched.
  }

  private vm(id: VmId, claim?: Claim): FakeVm {
    const found = this.vms.get(id);
    if (found === undefined) {
      throw new Fault('engine.vm-not-found', `There is no VM ${id}.`, { vmId: id });
    }
    if (claim !== undefined && found.claim !== claim) {
      throw new Fault('engine.fenced', `The job ${claim.jobId} does not hold the VM any more.`, {
        vmId: id,
      });
    }
    return found;
  }

  /** Returns the VM if no job holds it, or if `claim` does and has no frozen state. */
  private idle(id: VmId, claim?: Claim): FakeVm {
    const found = this.vm(id, claim);
    if (found.frozen || found.claim !== claim) {
      throw new Fault(
        'engine.vm-busy',
        `A job already holds the VM ${found.definition.name}; try again when it has ended.`,
        { vmId: id },
      );
    }
    return found;
  }

  private disk(vm: VmId, name: string): FakeDisk {
    const found = this.vm(vm).disks.find(({ definition }) => definition.name === name);
    if (found === undefined) {
      throw new RangeError(`the VM has no disk called ${name}`);
    }
    return found;
  }

  private renewDefinition(vm: FakeVm): void {
    vm.definition = { ...vm.definition, disks: vm.disks.map(({ definition }) => definition) };
  }
}

function summaryOf({ definition, status, warnings }: FakeVm): VmSummary {
  return {
    id: definition.id,
    name: definition.name,
    status,
    definition,
    warnings: [...warnings],
    unmerged: [],
  };
}

function latenciesOf(vm: FakeVm, stop: AbortSignal): WriteLatencies | undefined {
  stop.throwIfAborted();
  const { status, writes, isEmulated } = vm;
  return status === 'running'
    ? { boundsMs: LATENCY_BOUNDS_MS, writes: [...writes], isEmulated }
    : undefined;
}

type HowFrozen = Pick<
  FrozenVm,
  'consistency' | 'consistencyReason' | 'guestFrozenMs' | 'transactionMs'
>;

function consistencyOf(vm: FakeVm, options: FreezeOptions): HowFrozen {
  if (vm.status === 'stopped') {
    return {
      consistency: 'powered-off',
      consistencyReason: 'the VM is powered off',
      guestFrozenMs: 0,
      transactionMs: 0,
    };
  }
  if (options.crashConsistent === true) {
    return {
      consistency: 'crash',
      consistencyReason: 'file systems were not frozen, as asked',
      guestFrozenMs: 0,
      transactionMs: 1,
    };
  }
  if (!vm.definition.guestAgent) {
    return {
      consistency: 'crash',
      consistencyReason: 'the VM has no guest agent',
      guestFrozenMs: 0,
      transactionMs: 1,
    };
  }
  return { consistency: 'filesystem', guestFrozenMs: 5, transactionMs: 1 };
}
