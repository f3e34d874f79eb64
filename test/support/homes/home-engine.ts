import {
  Engine,
  type AcceptedDisk,
  type AcceptOptions,
  type Claim,
  type FreezeOptions,
  type FrozenVm,
  type StopOptions,
  type VmId,
  type VmSummary,
} from '../../../src/engines/engine.ts';
import type { GuestCommand, GuestCommandEnd } from '../../../src/engines/guest-command.ts';
import type { VmDefinition } from '../../../src/vm/definition.ts';
import type { RemoteEngine } from './remote-engine.ts';

/**
 * A host with VMs of two engines: fake ones in another process, and real ones here. The other
 * process is told what is done to the real ones as well.
 */
export class HomeEngine extends Engine {
  override readonly kind = 'home';
  readonly #fake: RemoteEngine;
  readonly #real: Engine;

  constructor(fake: RemoteEngine, real: Engine) {
    super();
    this.#fake = fake;
    this.#real = real;
  }

  override async ids(signal: AbortSignal): Promise<VmId[]> {
    return [...(await this.#fake.ids(signal)), ...(await this.#real.ids(signal))];
  }

  override async list(signal: AbortSignal): Promise<VmSummary[]> {
    return [...(await this.#fake.list(signal)), ...(await this.#real.list(signal))];
  }

  override async get(vm: VmId, signal: AbortSignal): Promise<VmSummary> {
    return (await this.#of(vm, signal)).get(vm, signal);
  }

  /** Fake VMs are added in the other process. */
  override async add(definition: VmDefinition, signal: AbortSignal): Promise<VmSummary> {
    return this.#real.add(definition, signal);
  }

  override async claim(vm: VmId, job: string, signal: AbortSignal): Promise<Claim> {
    const engine = await this.#of(vm, signal);
    if (engine === this.#fake) {
      return engine.claim(vm, job, signal);
    }
    await this.#fake.note('claim', 'before', { vm, job });
    const claim = await engine.claim(vm, job, signal);
    await this.#fake.note('claim', 'after', { vm, job });
    return new NotedClaim(claim, async () => this.#fake.note('unclaim', 'after', { vm }));
  }

  override async start(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void> {
    await (await this.#of(vm, signal)).start(vm, signal, ownOf(claim));
  }

  override async stop(
    vm: VmId,
    options: StopOptions,
    signal: AbortSignal,
    claim?: Claim,
  ): Promise<void> {
    await (await this.#of(vm, signal)).stop(vm, options, signal, ownOf(claim));
  }

  override async release(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<VmDefinition> {
    return (await this.#of(vm, signal)).release(vm, signal, ownOf(claim));
  }

  override async destroy(vm: VmId, signal: AbortSignal, claim?: Claim): Promise<void> {
    await (await this.#of(vm, signal)).destroy(vm, signal, ownOf(claim));
  }

  override async freeze(vm: VmId, options: FreezeOptions, signal: AbortSignal): Promise<FrozenVm> {
    const engine = await this.#of(vm, signal);
    if (engine === this.#fake) {
      return engine.freeze(vm, options, signal);
    }
    await this.#fake.note('freeze', 'before', { vm });
    const { claim, ...rest } = options;
    const own = ownOf(claim);
    const frozen = await engine.freeze(vm, { ...rest, ...(own && { claim: own }) }, signal);
    await this.#fake.note('freeze', 'after', { vm });
    return frozen;
  }

  override async runInGuest(
    claim: Claim,
    command: GuestCommand,
    signal: AbortSignal,
  ): Promise<GuestCommandEnd> {
    return this.#real.runInGuest(ownOf(claim) ?? claim, command, signal);
  }

  override async oweGuest(
    claim: Claim,
    commands: readonly GuestCommand[],
    signal: AbortSignal,
  ): Promise<void> {
    await this.#real.oweGuest(ownOf(claim) ?? claim, commands, signal);
  }

  override async payGuest(claim: Claim, signal: AbortSignal): Promise<GuestCommandEnd[]> {
    const engine = await this.#of(claim.vmId, signal);
    return engine.payGuest(ownOf(claim) ?? claim, signal);
  }

  override async distrust(
    vm: VmId,
    diskId: string,
    signal: AbortSignal,
    claim?: Claim,
  ): Promise<void> {
    await (await this.#of(vm, signal)).distrust(vm, diskId, signal, ownOf(claim));
  }

  override async accept(
    vm: VmId,
    options: AcceptOptions,
    signal: AbortSignal,
  ): Promise<AcceptedDisk[]> {
    return (await this.#of(vm, signal)).accept(vm, options, signal);
  }

  override async reconcile(signal: AbortSignal): Promise<string[]> {
    return [...(await this.#fake.reconcile(signal)), ...(await this.#real.reconcile(signal))];
  }

  override giveUpMerges(): void {
    this.#real.giveUpMerges();
  }

  override async close(): Promise<void> {
    await this.#real.close();
    await this.#fake.close();
  }

  async #of(vm: VmId, signal: AbortSignal): Promise<Engine> {
    return (await this.#fake.ids(signal)).includes(vm) ? this.#fake : this.#real;
  }
}

/** A claim of the real engine, whose end is told. */
class NotedClaim implements Claim {
  readonly vmId: VmId;
  readonly jobId: string;
  readonly fence: number;
  readonly own: Claim;
  readonly #ended: () => Promise<void>;

  constructor(own: Claim, ended: () => Promise<void>) {
    this.vmId = own.vmId;
    this.jobId = own.jobId;
    this.fence = own.fence;
    this.own = own;
    this.#ended = ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.own[Symbol.asyncDispose]();
    await this.#ended();
  }
}

/** The engine knows its claims by identity. */
function ownOf(claim: Claim | undefined): Claim | undefined {
  return claim instanceof NotedClaim ? claim.own : claim;
}
