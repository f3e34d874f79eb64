import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { json } from 'node:stream/consumers';
import type { Claim, FrozenDisk, FrozenVm } from '../../../src/engines/engine.ts';
import { isFault } from '../../../src/kernel/fault.ts';
import type { FakeEngine } from '../fake-engine/fake-engine.ts';
import type { ClaimFacts, EngineArguments, FrozenFacts, Moment, WireFault } from './engine-wire.ts';

/** What a service does to a VM. */
export interface EngineCall {
  readonly name: string;
  readonly vm: string;
  /** Of `claim`. */
  readonly job?: string | undefined;
}

/** Is told of each call. If it returns true, the caller never hears of it again. */
export type OnEngineCall = (call: EngineCall, moment: Moment) => boolean;

type Calls = Readonly<Record<string, (given: EngineArguments) => Promise<unknown>>>;

interface Frozen {
  readonly vm: string;
  readonly state: FrozenVm;
}

const SILENCE = Symbol('no answer');
const { signal } = new AbortController();

/**
 * A fake engine that other processes use over a socket: its VMs and what is held of them outlive a
 * service that is killed, as on a real host. RemoteEngine is the other end.
 */
export class EngineServer implements AsyncDisposable {
  readonly socket: string;
  readonly #engine: FakeEngine;
  readonly #onCall: OnEngineCall;
  readonly #server: Server;
  readonly #claims = new Map<string, Claim>();
  readonly #frozen = new Map<number, Frozen>();
  #count = 0;

  private constructor(engine: FakeEngine, socket: string, onCall: OnEngineCall) {
    this.#engine = engine;
    this.socket = socket;
    this.#onCall = onCall;
    this.#server = createServer((request, response) => {
      void json(request)
        .then(async (given) => this.#answer((request.url ?? '').slice(1), given as EngineArguments))
        .then((answer) => {
          if (answer instanceof Uint8Array) {
            response.end(answer);
          } else if (answer !== SILENCE) {
            response.end(JSON.stringify(answer ?? null));
          }
        })
        .catch((error: unknown) => {
          response.writeHead(500).end(JSON.stringify(wireFault(error)));
        });
    });
    // A client must never find that a connection was closed when it sends.
    this.#server.keepAliveTimeout = 0;
  }

  /** @param socket path of the socket that is made */
  static async open(
    engine: FakeEngine,
    socket: string,
    onCall: OnEngineCall = () => false,
  ): Promise<EngineServer> {
    const server = new EngineServer(engine, socket, onCall);
    server.#server.listen(socket);
    await once(server.#server, 'listening');
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(name: string, given: EngineArguments): Promise<unknown> {
    const { vm = this.#frozen.get(given.frozen ?? NaN)?.vm, job } = given;
    if (name === 'note') {
      assert(vm !== undefined && given.step !== undefined && given.moment !== undefined);
      return this.#onCall({ name: given.step, vm, job }, given.moment) ? SILENCE : undefined;
    }
    const call = vm === undefined ? undefined : { name, vm, job };
    if (call !== undefined && this.#onCall(call, 'before')) {
      return SILENCE;
    }
    const run = this.#calls[name];
    assert(run !== undefined, `an engine cannot do ${name}`);
    const answer = await run(given);
    return call !== undefined && this.#onCall(call, 'after') ? SILENCE : answer;
  }

  readonly #calls: Calls = {
    ids: async () => this.#engine.ids(signal),
    list: async () => this.#engine.list(signal),
    get: async ({ vm = '' }) => this.#engine.get(vm, signal),
    add: async ({ definition }) => {
      assert(definition !== undefined);
      return this.#engine.add(definition, signal);
    },
    claim: async ({ vm = '', job = '' }): Promise<ClaimFacts> => {
      const claim = await this.#engine.claim(vm, job, signal);
      const { vmId, jobId, fence } = claim;
      this.#claims.set(`${vmId} ${String(fence)}`, claim);
      return { vmId, jobId, fence };
    },
    unclaim: async ({ claim }) => this.#claim(claim)?.[Symbol.asyncDispose](),
    start: async ({ vm = '', claim }) => this.#engine.start(vm, signal, this.#claim(claim)),
    stop: async ({ vm = '', stop = { force: false }, claim }) =>
      this.#engine.stop(vm, stop, signal, this.#claim(claim)),
    release: async ({ vm = '', claim }) => this.#engine.release(vm, signal, this.#claim(claim)),
    destroy: async ({ vm = '', claim }) => this.#engine.destroy(vm, signal, this.#claim(claim)),
    distrust: async ({ vm = '', disk = '', claim }) =>
      this.#engine.distrust(vm, disk, signal, this.#claim(claim)),
    accept: async ({ vm = '' }) => this.#engine.accept(vm),
    reconcile: async () => this.#engine.reconcile(signal),
    freeze: async ({ vm = '', freeze, claim }) => {
      assert(freeze !== undefined);
      const held = this.#claim(claim);
      const state = await this.#engine.freeze(
        vm,
        { ...freeze, ...(held && { claim: held }) },
        signal,
      );
      return this.#number(vm, state);
    },
    unfreeze: async ({ frozen = NaN }) => {
      const found = this.#frozen.get(frozen);
      this.#frozen.delete(frozen);
      await found?.state[Symbol.asyncDispose]();
    },
    assertUnchanged: async (given) => this.#state(given).assertUnchanged(signal),
    writeLatency: async (given) => this.#state(given).guestWriteLatency?.(signal),
    changedSince: async (given) => this.#disk(given).changedSince(given.state),
    extents: async (given) =>
      Array.fromAsync(this.#disk(given).reader.extents(signal, given.range)),
    read: async (given) => {
      assert(given.range !== undefined);
      const bytes = new Uint8Array(given.range.length);
      await this.#disk(given).reader.read(given.range.offset, bytes, signal);
      return bytes;
    },
  };

  #number(vm: string, state: FrozenVm): FrozenFacts {
    this.#count += 1;
    const frozen = this.#count;
    this.#frozen.set(frozen, { vm, state });
    const disks = state.disks.map(({ diskId, name, sizeBytes, tracking }) => {
      return { diskId, name, sizeBytes, tracking };
    });
    const countsWrites = state.guestWriteLatency !== undefined;
    // Functions are left out by JSON; guests of this engine have no variable store.
    return { ...state, nvram: undefined, frozen, disks, countsWrites } as FrozenFacts;
  }

  #state({ frozen = NaN }: EngineArguments): FrozenVm {
    const found = this.#frozen.get(frozen);
    assert(found !== undefined, 'this state was given back');
    return found.state;
  }

  #disk(given: EngineArguments): FrozenDisk {
    const found = this.#state(given).disks.find(({ diskId }) => diskId === given.disk);
    assert(found !== undefined, 'the frozen state has no such disk');
    return found;
  }

  #claim(facts: ClaimFacts | undefined): Claim | undefined {
    return facts && this.#claims.get(`${facts.vmId} ${String(facts.fence)}`);
  }
}

function wireFault(error: unknown): WireFault {
  return isFault(error)
    ? { code: error.code, message: error.message, context: error.context }
    : { message: String(error) };
}
