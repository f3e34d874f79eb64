import { Agent, request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { DiskReader } from '../../../src/disk/disk-reader.ts';
import type { ChangeSet } from '../../../src/disk/change-set.ts';
import type { ContentExtent, Extent } from '../../../src/disk/extent.ts';
import {
  Engine,
  type AcceptedDisk,
  type Claim,
  type FreezeOptions,
  type FrozenVm,
  type StopOptions,
  type VmSummary,
  type WriteLatencies,
} from '../../../src/engines/engine.ts';
import type { GuestCommandEnd } from '../../../src/engines/guest-command.ts';
import { Fault, type FaultCode, type FaultContext } from '../../../src/kernel/fault.ts';
import type { VmDefinition } from '../../../src/vm/definition.ts';
import type { ClaimFacts, EngineArguments, FrozenFacts, Moment, WireFault } from './engine-wire.ts';

type Call = (name: string, given: EngineArguments, signal?: AbortSignal) => Promise<Buffer>;

/** The fake engine of another process: EngineServer is the other end. */
export class RemoteEngine extends Engine {
  override readonly kind = 'fake';
  readonly #socket: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(socket: string) {
    super();
    this.#socket = socket;
  }

  /** Says what is done to a VM of another engine. May never return. */
  async note(step: string, moment: Moment, about: { vm: string; job?: string }): Promise<void> {
    await this.#call('note', { step, moment, ...about });
  }

  override async ids(signal: AbortSignal): Promise<string[]> {
    return this.#ask('ids', {}, signal);
  }

  override async list(signal: AbortSignal): Promise<VmSummary[]> {
    return this.#ask('list', {}, signal);
  }

  override async get(vm: string, signal: AbortSignal): Promise<VmSummary> {
    return this.#ask('get', { vm }, signal);
  }

  override async add(definition: VmDefinition, signal: AbortSignal): Promise<VmSummary> {
    return this.#ask('add', { definition }, signal);
  }

  override async claim(vm: string, job: string, signal: AbortSignal): Promise<Claim> {
    const facts = await this.#ask<ClaimFacts>('claim', { vm, job }, signal);
    return {
      ...facts,
      [Symbol.asyncDispose]: async () => {
        await this.#call('unclaim', { vm, claim: facts });
      },
    };
  }

  override async start(vm: string, signal: AbortSignal, claim?: Claim): Promise<void> {
    await this.#call('start', { vm, ...factsOf(claim) }, signal);
  }

  override async stop(
    vm: string,
    stop: StopOptions,
    signal: AbortSignal,
    claim?: Claim,
  ): Promise<void> {
    await this.#call('stop', { vm, stop, ...factsOf(claim) }, signal);
  }

  override async release(vm: string, signal: AbortSignal, claim?: Claim): Promise<VmDefinition> {
    return this.#ask('release', { vm, ...factsOf(claim) }, signal);
  }

  override async destroy(vm: string, signal: AbortSignal, claim?: Claim): Promise<void> {
    await this.#call('destroy', { vm, ...factsOf(claim) }, signal);
  }

  override async freeze(
    vm: string,
    { claim, ...freeze }: FreezeOptions,
    signal: AbortSignal,
  ): Promise<FrozenVm> {
    const given = { vm, freeze, ...factsOf(claim) };
    const { countsWrites, frozen, disks, ...facts } = await this.#ask<FrozenFacts>(
      'freeze',
      given,
      signal,
    );
    return {
      ...facts,
      disks: disks.map((disk) => ({
        ...disk,
        reader: new RemoteReader(this.#call, { frozen, disk: disk.diskId }, disk.sizeBytes),
        changedSince: async (state) =>
          this.#ask<ChangeSet>('changedSince', {
            ...{ frozen, disk: disk.diskId },
            ...(state && { state }),
          }),
      })),
      assertUnchanged: async (stop) => {
        await this.#call('assertUnchanged', { frozen }, stop);
      },
      ...(countsWrites && {
        guestWriteLatency: async (stop: AbortSignal) =>
          (await this.#ask<WriteLatencies | null>('writeLatency', { frozen }, stop)) ?? undefined,
      }),
      [Symbol.asyncDispose]: async () => {
        await this.#call('unfreeze', { frozen });
      },
    };
  }

  /** No policy of these homes has commands for its guests. */
  override async runInGuest(): Promise<never> {
    throw new Error('not over the wire');
  }

  override async oweGuest(): Promise<never> {
    throw new Error('not over the wire');
  }

  override async payGuest(): Promise<GuestCommandEnd[]> {
    return [];
  }

  override async distrust(
    vm: string,
    disk: string,
    signal: AbortSignal,
    claim?: Claim,
  ): Promise<void> {
    await this.#call('distrust', { vm, disk, ...factsOf(claim) }, signal);
  }

  override async accept(vm: string): Promise<AcceptedDisk[]> {
    return this.#ask('accept', { vm });
  }

  override async reconcile(signal: AbortSignal): Promise<string[]> {
    return this.#ask('reconcile', {}, signal);
  }

  override giveUpMerges(): void {
    // Nothing is merged.
  }

  override async close(): Promise<void> {
    this.#agent.destroy();
  }

  async #ask<T>(name: string, given: EngineArguments, signal?: AbortSignal): Promise<T> {
    return JSON.parse((await this.#call(name, given, signal)).toString()) as T;
  }

  readonly #call: Call = async (name, given, signal) => {
    signal?.throwIfAborted();
    const sent = request({
      socketPath: this.#socket,
      agent: this.#agent,
      method: 'POST',
      path: `/${name}`,
      ...(signal && { signal }),
    });
    sent.end(JSON.stringify(given));
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    const content = await buffer(answer);
    if (answer.statusCode === 200) {
      return content;
    }
    const { code, message, context } = JSON.parse(content.toString()) as WireFault;
    throw code === undefined
      ? new Error(message)
      : new Fault(code as FaultCode, message, context as FaultContext);
  };
}

class RemoteReader extends DiskReader {
  override readonly size: number;
  readonly #call: Call;
  readonly #which: EngineArguments;

  constructor(call: Call, which: EngineArguments, size: number) {
    super();
    this.#call = call;
    this.#which = which;
    this.size = size;
  }

  override async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    const range = { offset, length: target.length };
    target.set(await this.#call('read', { ...this.#which, range }, signal));
  }

  override async *extents(signal: AbortSignal, range?: Extent): AsyncIterable<ContentExtent> {
    const given = { ...this.#which, ...(range && { range }) };
    yield* JSON.parse((await this.#call('extents', given, signal)).toString()) as ContentExtent[];
  }

  override async close(): Promise<void> {
    // Ends with the frozen state.
  }
}

/** An own claim has only its facts in common with the one at the other end. */
function factsOf(claim: Claim | undefined): Pick<EngineArguments, 'claim'> {
  return claim === undefined
    ? {}
    : { claim: { vmId: claim.vmId, jobId: claim.jobId, fence: claim.fence } };
}
