import { SystemClock, type Clock } from '../../kernel/clock.ts';
import { isFault } from '../../kernel/fault.ts';
import { SilentLog, type Log } from '../../kernel/log.ts';
import { Shared } from '../../kernel/waiting/shared.ts';
import { VmDefinition } from '../../vm/definition.ts';
import type {
  AcceptedDisk,
  AcceptOptions,
  Claim,
  FreezeOptions,
  FrozenVm,
  StopOptions,
  VmId,
  VmSummary,
} from '../engine.ts';
import { acceptDisks } from './lifecycle/accept-disks.ts';
import { addVm } from './lifecycle/add-vm.ts';
import { BackgroundMerges, unlessAborted } from './merge/background-merges.ts';
import {
  DEFAULT_LIMITS,
  type EngineLimits,
  type EngineParts,
  type Step,
} from './vms/engine-parts.ts';
import { distrustDisk } from './vms/distrust.ts';
import { freezeVm } from './freeze/freeze-vm.ts';
import { CommandingEngine } from './freeze/commanding-engine.ts';
import { GuestCommands } from './freeze/guest-commands.ts';
import { OpenFreezes } from './freeze/open-freezes.ts';
import { lookAtVm } from './lifecycle/look-at-vm.ts';
import { Claims } from './vms/claims.ts';
import { damagedVm } from './vms/damaged-vm.ts';
import type { HeldClaim } from './vms/held-claim.ts';
import { knownVms, type KnownVm } from './vms/known-vms.ts';
import { loadVm, type ManagedVm } from './vms/managed-vm.ts';
import { assertOursToKill } from './layers/ownership.ts';
import { assertNoQuestion } from './layers/outside-changes.ts';
import { hasEnded, killQemu } from './process/qemu-process.ts';
import { destroyVm } from './lifecycle/destroy-vm.ts';
import { reconcileVms } from './lifecycle/reconcile-vms.ts';
import { releaseVm } from './lifecycle/release-vm.ts';
import { Sessions } from './process/sessions.ts';
import { settle } from './merge/settle.ts';
import { LateThaws } from './merge/thaw-guest.ts';
import { launch, shutDown } from './lifecycle/start-stop.ts';
import { isToMerge, mergeStopped } from './merge/stopped-merge.ts';
import { vmIdsIn, vmPaths, type EngineFolders, type VmPaths } from './state/vm-paths.ts';

/** How long a QEMU may still run after its connection has ended. */
const END_MS_MAX = 5_000;

export interface QemuEngineOptions extends EngineFolders {
  readonly clock?: Clock;
  readonly log?: Log;
  readonly limits?: Partial<EngineLimits>;
  /** Called at each step of an action, for tests that end the service there. */
  readonly onStep?: (step: Step, vmId?: string) => Promise<void> | void;
}

/**
 * Runs VMs on this host with QEMU over QMP. VMs go on without it: everything it must know is in the
 * state folder, durable before it is needed, and every action begins by asking QEMU.
 */
export class QemuEngine extends CommandingEngine {
  override readonly kind = 'qemu';
  private readonly parts: EngineParts;
  private readonly claims: Claims;
  private readonly merges: BackgroundMerges;
  private readonly freezes = new OpenFreezes();
  private readonly thaws: LateThaws;
  protected override readonly commands: GuestCommands;

  constructor(options: QemuEngineOptions) {
    super();
    const log = options.log ?? new SilentLog();
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.merges = new BackgroundMerges(log);
    this.thaws = new LateThaws(this.merges, async (...of) => this.open(...of));
    this.parts = {
      folders: { stateFolder: options.stateFolder, runFolder: options.runFolder },
      clock: options.clock ?? new SystemClock(),
      log,
      limits,
      frozen: new Set(),
      looks: new Shared(),
      sessions: new Sessions(limits, log, (vmId) => {
        this.noteEnd(vmId);
      }),
      step: async (step) => options.onStep?.(step),
      mergeSignal: (vmId) => this.merges.signalOf(vmId),
      mergeLater: (vmId) => {
        void this.merges.run(vmId, async (merging) => this.mergeLater(vmId, merging));
      },
      thawLater: (vmId) => {
        this.thaws.begin(this.parts, vmId);
      },
      isMerging: (vmId) => this.merges.isMerging(vmId),
    };
    this.claims = new Claims(this.parts, (vm) => {
      this.noteReleased(vm);
    });
    this.commands = new GuestCommands(this.parts, this.claims);
  }

  /** Where the sockets and logs of a VM are. */
  paths(vm: VmId): VmPaths {
    return vmPaths(this.parts.folders, vm);
  }

  override async ids(): Promise<VmId[]> {
    return vmIdsIn(this.parts.folders);
  }

  override async list(signal: AbortSignal): Promise<VmSummary[]> {
    const summaries: VmSummary[] = [];
    for (const vmId of await this.ids()) {
      const summary = await this.get(vmId, signal).catch(unlessGone);
      if (summary !== undefined) {
        summaries.push(summary);
      }
    }
    return summaries.sort((a, b) => a.name.localeCompare(b.name));
  }

  override async get(vm: VmId, signal: AbortSignal): Promise<VmSummary> {
    const paths = this.paths(vm);
    return lookAtVm(this.parts, paths, vm, signal).catch(async (error: unknown) => {
      signal.throwIfAborted();
      return damagedVm(paths, vm, error);
    });
  }

  override async add(input: VmDefinition, signal: AbortSignal): Promise<VmSummary> {
    signal.throwIfAborted();
    const definition = VmDefinition.parse(input);
    await addVm(this.parts, definition, async () => this.known(), signal);
    return this.get(definition.id, signal);
  }

  override async claim(vm: VmId, jobId: string, signal: AbortSignal): Promise<HeldClaim> {
    // What is being merged cannot be read; it is merged again afterwards.
    return this.merges.without(vm, async () => this.claims.take(vm, jobId, signal));
  }

  override async start(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void> {
    await this.merges.without(vm, async () => this.startNow(vm, signal, claim));
  }

  private async startNow(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void> {
    await using managed = await this.open(vm, signal, claim);
    const mayMerge = await this.claims.isUnheld(vm, signal);
    const settled = await settle(this.parts, managed, { mayMerge: false }, signal);
    const { session: running, questions } = settled;
    if (running === undefined) {
      assertNoQuestion(managed, questions);
    }
    const session = running ?? (await launch(this.parts, managed, { isHeld: !mayMerge }, signal));
    await session.qmp.execute('cont', {}, signal);
    if (mayMerge) {
      this.parts.mergeLater(vm);
    }
  }

  override async stop(
    vm: VmId,
    { force, wait = false }: StopOptions,
    signal: AbortSignal,
    claim?: Claim,
  ): Promise<void> {
    this.claims.ours(vm, claim);
    let merging = this.merges.current(vm);
    if (merging === undefined) {
      await this.powerOff(vm, force, signal, claim);
      const merge = async (background: AbortSignal) => this.mergeLater(vm, background);
      merging = this.merges.runForStopped(vm, merge);
    }
    if (wait) {
      await unlessAborted(merging, signal);
    }
  }

  private async powerOff(
    vm: VmId,
    force: boolean,
    signal: AbortSignal,
    claim?: Claim,
  ): Promise<void> {
    this.merges.end(vm);
    await using managed = await this.open(vm, signal, claim);
    const { session } = await settle(this.parts, managed, { mayMerge: false }, signal).catch(
      async (error: unknown) => {
        if (!force || !isFault(error, 'engine.unreachable')) {
          throw error;
        }
        await assertOursToKill(managed);
        await killQemu(managed.paths, signal);
        return settle(this.parts, managed, { mayMerge: false }, signal);
      },
    );
    if (session !== undefined) {
      await shutDown(this.parts, managed, { session, force }, signal);
    } else {
      // Whatever happens, the VM is meant to be off with its disks in order.
      await managed.save({ stoppedInOrder: true });
    }
  }

  override async release(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<VmDefinition> {
    this.claims.ours(vm, claim);
    this.merges.end(vm);
    const others = await this.filesOfOthers(vm);
    const run = async (managed: ManagedVm) => releaseVm(this.parts, managed, others, signal);
    return this.claims.whileHeld(vm, signal, run, claim);
  }

  override async destroy(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void> {
    this.claims.ours(vm, claim);
    this.merges.end(vm);
    const run = async (managed: ManagedVm) => destroyVm(this.parts, managed, signal);
    await this.claims.whileHeld(vm, signal, run, claim);
  }

  override async freeze(vm: VmId, options: FreezeOptions, signal: AbortSignal): Promise<FrozenVm> {
    return this.freezes.run(signal, async (until) => this.freezeNow(vm, options, until));
  }

  private async freezeNow(
    vm: VmId,
    options: FreezeOptions,
    signal: AbortSignal,
  ): Promise<FrozenVm> {
    const given = this.claims.ours(vm, options.claim);
    given?.assertUnfrozen();
    const claim = given ?? (await this.claim(vm, options.jobToken, signal));
    claim.isFrozen = true;
    const done = async () => {
      claim.isFrozen = false;
      if (given === undefined) {
        await claim.release();
      }
    };
    try {
      return await this.merges.without(vm, async () =>
        freezeVm({ parts: this.parts, paths: this.paths(vm), options, claim, done }, vm, signal),
      );
    } catch (error) {
      // The freeze may have frozen layers before it failed, and they are not to stay.
      void this.merges.run(vm, async (merging) => this.mergeLater(vm, merging, claim));
      throw error;
    }
  }

  override async distrust(
    vm: VmId,
    diskId: string,
    signal: AbortSignal,
    claim?: Claim,
  ): Promise<void> {
    await distrustDisk(this.claims, vm, diskId, { signal, claim });
    this.parts.log.warn('engine.tracking-distrusted', { vmId: vm, diskId });
  }

  override async accept(
    vm: VmId,
    options: AcceptOptions,
    signal: AbortSignal,
  ): Promise<AcceptedDisk[]> {
    return this.claims.whileHeld(vm, signal, async (managed) =>
      acceptDisks(this.parts, managed, options, signal),
    );
  }

  override async reconcile(signal: AbortSignal): Promise<string[]> {
    const { said, owing } = await reconcileVms(this.parts, this.claims, await this.ids(), signal);
    return [...said, ...(await this.commands.payAll(owing, signal))];
  }

  override giveUpMerges(): void {
    this.merges.giveUp();
  }

  override async close(): Promise<void> {
    await this.freezes.close();
    await this.merges.close();
    await Promise.all([...this.parts.frozen].map(async (giveUp) => giveUp()));
    await this.claims.close();
    await this.parts.sessions.close();
  }

  /** Returns the known VMs except `vm`. */
  private async known(vm?: VmId): Promise<KnownVm[]> {
    const others = (await this.ids()).filter((other) => other !== vm);
    return knownVms(this.parts, others);
  }

  private async open(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<ManagedVm> {
    return this.claims.open(vm, signal, claim);
  }

  private async mergeLater(vm: VmId, signal: AbortSignal, claim?: HeldClaim): Promise<void> {
    await using managed = await this.open(vm, signal);
    const isOurs = claim !== undefined && this.claims.isLive(claim) && !claim.isFrozen;
    const mayMerge = isOurs || (await this.claims.isUnheld(vm, signal));
    const { session } = await settle(this.parts, managed, { mayMerge }, signal);
    if (session === undefined && mayMerge && isToMerge(managed.state)) {
      await this.merges.mergeStopped(vm, async () =>
        mergeStopped(this.parts, managed, await this.filesOfOthers(vm), signal),
      );
    }
  }

  /** A job gave a VM back: if it is off, the frozen layers may be merged now. */
  private noteReleased(vm: VmId): void {
    void this.merges.run(vm, async (signal) => {
      const loaded = await loadVm(this.paths(vm), vm).catch(unlessGone);
      if (loaded !== undefined && isToMerge(loaded.state)) {
        await this.mergeLater(vm, signal);
      }
    });
  }

  private async filesOfOthers(vm: VmId): Promise<Set<string>> {
    return new Set((await this.known(vm)).flatMap(({ files }) => [...files]));
  }

  /** A connection was lost: if QEMU has ended, updates the state file. */
  private noteEnd(vm: VmId): void {
    this.parts.log.info('engine.connection-lost', { vmId: vm });
    void this.merges.run(vm, async (signal) => {
      // The connection ends a moment before the process.
      await hasEnded(this.paths(vm), END_MS_MAX, signal);
      await this.mergeLater(vm, signal);
    });
  }
}

/** Ignores a VM that was released or destroyed while all were visited. */
function unlessGone(error: unknown): undefined {
  if (!isFault(error, 'engine.vm-not-found')) {
    throw error;
  }
}
