import { isFault } from '../../../kernel/fault.ts';
import type { Claim } from '../../engine.ts';
import {
  endText,
  GUEST_OUTPUT_BYTES_MAX,
  type GuestCommand,
  type GuestCommandEnd,
} from '../../guest-command.ts';
import { AgentRefusal, GuestAgent, type GuestProgramEnd } from '../guest/guest-agent.ts';
import { ownerOf } from '../merge/settle.ts';
import type { Claims } from '../vms/claims.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import type { ManagedVm } from '../vms/managed-vm.ts';
import { whyNoAgent } from './guest-freeze.ts';

/** A busy guest under emulation needs seconds to answer. */
const CONNECT_MS_MAX = 10_000;
/** How long the start of a service may wait for commands. */
const PAY_MS_MAX = 60_000;
/** Holds a VM while its guest gets what it is owed. */
const PAYING_JOB = 'guest-commands';

/** A command that was tried. */
interface Tried {
  readonly end: GuestCommandEnd;
  /** Whether the guest has heard of it: it ran, or the agent refused it. */
  readonly isHeard: boolean;
}

interface Guest {
  readonly agentSocket: string;
  /** Why nothing can run in it, for people. */
  readonly whyNot: string | undefined;
}

/** Runs commands inside the guests of VMs that a job has claimed. */
export class GuestCommands {
  private readonly parts: EngineParts;
  private readonly claims: Claims;

  constructor(parts: EngineParts, claims: Claims) {
    this.parts = parts;
    this.claims = claims;
  }

  /** Runs one command. The VM's action lock is free meanwhile: somebody may stop the VM. */
  async run(claim: Claim, command: GuestCommand, signal: AbortSignal): Promise<GuestCommandEnd> {
    const guest = await this.guest(claim, signal);
    return (await this.attempt(claim.vmId, guest, command, signal)).end;
  }

  async owe(claim: Claim, commands: readonly GuestCommand[], signal: AbortSignal): Promise<void> {
    await using vm = await this.claims.open(claim.vmId, signal, this.claims.held(claim));
    const owedCommands = commands.map(({ words, timeLimitMs }) => {
      return { words: [...words], timeLimitMs };
    });
    if (owedCommands.length > 0 || vm.state.owedCommands.length > 0) {
      await vm.save({ owedCommands });
    }
  }

  async pay(claim: Claim, signal: AbortSignal): Promise<GuestCommandEnd[]> {
    const ends: GuestCommandEnd[] = [];
    let owed = await this.owed(claim, signal);
    if (owed.length === 0) {
      return ends;
    }
    const guest = await this.guest(claim, signal);
    for (const command of owed) {
      const { end, isHeard } = await this.attempt(claim.vmId, guest, command, signal);
      ends.push(end);
      if (!isHeard) {
        break;
      }
      owed = owed.slice(1);
      await this.owe(claim, owed, signal);
    }
    return ends;
  }

  /**
   * Runs what services that died have promised to these guests, in all at once. What takes longer
   * than a start of the service may wait stays promised, until the next claim that pays.
   *
   * @returns what was done, for people
   */
  async payAll(vmIds: readonly string[], signal: AbortSignal): Promise<string[]> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(PAY_MS_MAX)]);
    const said = await Promise.all(
      vmIds.map(async (vmId) => {
        try {
          await using claim = await this.claims.take(vmId, PAYING_JOB, limited);
          const ends = await this.pay(claim, limited);
          return ends.map((end) => `${vmId}: ran ${endText(end)}, as a job that has ended owed`);
        } catch (error) {
          signal.throwIfAborted();
          if (!isFault(error) && !limited.aborted) {
            throw error;
          }
          this.parts.log.warn('engine.guest-commands-owed', { vmId, error });
          return [];
        }
      }),
    );
    return said.flat();
  }

  private async owed(claim: Claim, signal: AbortSignal): Promise<GuestCommand[]> {
    await using vm = await this.claims.open(claim.vmId, signal, this.claims.held(claim));
    return vm.state.owedCommands;
  }

  private async guest(claim: Claim, signal: AbortSignal): Promise<Guest> {
    await using vm = await this.claims.open(claim.vmId, signal, this.claims.held(claim));
    return { agentSocket: vm.paths.agent, whyNot: await this.whyNot(vm, signal) };
  }

  private async whyNot(vm: ManagedVm, signal: AbortSignal): Promise<string | undefined> {
    try {
      const { qmp } = await this.parts.sessions.get(ownerOf(vm), signal);
      return await whyNoAgent(vm, qmp, signal);
    } catch (error) {
      signal.throwIfAborted();
      return messageOf(error);
    }
  }

  private async attempt(
    vmId: string,
    { agentSocket, whyNot }: Guest,
    { words, timeLimitMs }: GuestCommand,
    signal: AbortSignal,
  ): Promise<Tried> {
    const { clock, log } = this.parts;
    const startedMs = clock.monotonicMs();
    const tried =
      whyNot === undefined
        ? await tryCommand(agentSocket, { words, timeLimitMs }, signal)
        : { isHeard: false, problem: whyNot };
    const { isHeard, problem, program } = tried;
    const end: GuestCommandEnd = {
      program: words[0] ?? '',
      ...(program?.exitCode !== undefined && { exitCode: program.exitCode }),
      ...(problem !== undefined && { problem }),
      ...outputOf(program),
      durationMs: Math.round(clock.monotonicMs() - startedMs),
    };
    const { program: path, exitCode, durationMs } = end;
    log.info('engine.guest-command', { vmId, program: path, exitCode, problem, durationMs });
    return { end, isHeard };
  }
}

interface Outcome {
  readonly isHeard: boolean;
  readonly problem?: string;
  readonly program?: GuestProgramEnd;
}

async function tryCommand(
  agentSocket: string,
  { words, timeLimitMs }: GuestCommand,
  signal: AbortSignal,
): Promise<Outcome> {
  let isHeard = false;
  try {
    const connectMs = Math.min(CONNECT_MS_MAX, timeLimitMs);
    await using agent = await GuestAgent.connect(agentSocket, connectMs, signal);
    const pid = await agent.begin(words, timeLimitMs, signal);
    isHeard = true;
    const program = await agent.ended(pid, timeLimitMs, signal);
    if (program === undefined) {
      return { isHeard, problem: `did not end in ${String(timeLimitMs / 1000)} s` };
    }
    return program.exitCode === undefined
      ? { isHeard, program, problem: 'was ended by a signal' }
      : { isHeard, program };
  } catch (error) {
    signal.throwIfAborted();
    return { isHeard: isHeard || error instanceof AgentRefusal, problem: messageOf(error) };
  }
}

function outputOf(program: GuestProgramEnd | undefined): { output: string; isCut: boolean } {
  const { stdout = '', stderr = '', isCut = false } = program ?? {};
  const both = Buffer.from(stdout + stderr);
  const isLong = both.length > GUEST_OUTPUT_BYTES_MAX;
  return { output: both.toString('utf8', 0, GUEST_OUTPUT_BYTES_MAX), isCut: isCut || isLong };
}

function messageOf(error: unknown): string {
  if (!isFault(error)) {
    throw error;
  }
  return error.message;
}
