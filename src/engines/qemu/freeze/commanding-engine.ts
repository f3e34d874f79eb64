import { Engine, type Claim } from '../../engine.ts';
import type { GuestCommand, GuestCommandEnd } from '../../guest-command.ts';
import type { GuestCommands } from './guest-commands.ts';

/** The part of an engine that runs commands inside guests. */
export abstract class CommandingEngine extends Engine {
  protected abstract readonly commands: GuestCommands;

  override async runInGuest(
    claim: Claim,
    command: GuestCommand,
    signal: AbortSignal,
  ): Promise<GuestCommandEnd> {
    return this.commands.run(claim, command, signal);
  }

  override async oweGuest(
    claim: Claim,
    commands: readonly GuestCommand[],
    signal: AbortSignal,
  ): Promise<void> {
    await this.commands.owe(claim, commands, signal);
  }

  override async payGuest(claim: Claim, signal: AbortSignal): Promise<GuestCommandEnd[]> {
    return this.commands.pay(claim, signal);
  }
}
