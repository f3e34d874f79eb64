import { z } from 'zod';
import type { Claim, Engine, FrozenVm } from '../engines/engine.ts';
import {
  endText,
  succeeded,
  type GuestCommand,
  type GuestCommandEnd,
} from '../engines/guest-command.ts';
import { FailedWith } from '../jobs/job.ts';
import { Fault, isFault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { plainWords } from '../kernel/text/plain-text.ts';
import { shortened } from '../kernel/text/shortened.ts';

const Words = z.array(z.string()).min(1);

/** Commands that run inside a guest around its freeze. */
export const GuestCommandsRequest = z.strictObject({
  before: z.array(Words),
  after: z.array(Words),
  /** Of each command. */
  timeLimitMs: z.int().positive(),
  /** What the backup does when one of `before` fails. */
  onFailure: z.enum(['abort', 'crash-consistent']),
});
export type GuestCommandsRequest = z.infer<typeof GuestCommandsRequest>;

/**
 * A command that ran inside a guest. `earlier`: one that a backup before this one had promised to
 * the guest.
 */
export interface GuestCommandReport extends GuestCommandEnd {
  readonly when: 'earlier' | 'before' | 'after';
}

export type GuestRunner = Pick<Engine, 'runInGuest' | 'oweGuest' | 'payGuest'>;

const NOTE_CHARACTERS_MAX = 1000;
const PROGRAM_CHARACTERS_MAX = 200;
/** What paying takes beside the commands themselves: questions to an agent that does not answer. */
const PAY_MS = 60_000;

/** Runs the commands of one backup in one guest, and remembers how they ended. */
export class GuestHooks {
  readonly reports: GuestCommandReport[] = [];
  private failedCommand: GuestCommandEnd | undefined;
  private readonly engine: GuestRunner;
  private readonly claim: Claim;
  private readonly asked: GuestCommandsRequest | undefined;
  private readonly log: Log;

  /** @param asked undefined: nothing is run but what an earlier backup owed */
  constructor(
    engine: GuestRunner,
    claim: Claim,
    asked: GuestCommandsRequest | undefined,
    log: Log,
  ) {
    this.engine = engine;
    this.claim = claim;
    this.log = log;
    this.asked = asked;
  }

  /**
   * Calls `freeze` between the commands. Those after it run in any case, also without us: they are
   * promised before the first command runs.
   *
   * @throws Fault `backup.command-failed` if one failed and the policy says so
   */
  async around<T>(freeze: () => Promise<T>, signal: AbortSignal): Promise<T> {
    this.report('earlier', await this.engine.payGuest(this.claim, signal));
    if (this.asked === undefined) {
      return freeze();
    }
    await this.engine.oweGuest(this.claim, this.commands(this.asked.after), signal);
    try {
      const failed = await this.runBefore(this.asked, signal);
      if (failed !== undefined && this.asked.onFailure === 'abort') {
        throw commandFailed(failed);
      }
      this.failedCommand = failed;
      return await freeze();
    } finally {
      await this.runAfter(this.asked);
    }
  }

  /** Whether the point is to be crash-consistent: a command before the freeze failed. */
  get hasFailed(): boolean {
    return this.failedCommand !== undefined;
  }

  /** Returns what was frozen, with the commands as the reason if one failed. */
  explained<Frozen extends Pick<FrozenVm, 'consistencyReason'>>(frozen: Frozen): Frozen {
    return this.failedCommand === undefined
      ? frozen
      : {
          ...frozen,
          consistencyReason: `the command ${described(this.failedCommand)} did not succeed`,
        };
  }

  /** Returns the error of a backup with what its commands printed, which may say why it failed. */
  failed(error: unknown): unknown {
    const { reports, claim } = this;
    return reports.length > 0 && isFault(error)
      ? new FailedWith(error, {
          ...{ kind: 'guest-commands', vmId: claim.vmId, guestCommands: reports },
        })
      : error;
  }

  /** Returns what ran, as at most one line without parameters and output. */
  notes(): string[] {
    const parts = (['earlier', 'before', 'after'] as const).flatMap((when) => {
      const ends = this.reports.filter((report) => report.when === when);
      const what = when === 'earlier' ? 'owed by an earlier backup' : `${when} the freeze`;
      return ends.length === 0 ? [] : [`${what} ${ends.map(described).join(', ')}`];
    });
    return parts.length === 0
      ? []
      : [shortened(`Commands in the guest: ${parts.join('; ')}.`, NOTE_CHARACTERS_MAX)];
  }

  /** @returns the first that failed; the others do not run then */
  private async runBefore(
    { before }: GuestCommandsRequest,
    signal: AbortSignal,
  ): Promise<GuestCommandEnd | undefined> {
    for (const command of this.commands(before)) {
      const end = await this.engine.runInGuest(this.claim, command, signal);
      this.report('before', [end]);
      if (!succeeded(end)) {
        return end;
      }
    }
    return undefined;
  }

  private async runAfter({ after, timeLimitMs }: GuestCommandsRequest): Promise<void> {
    // With a signal of its own: cancelling the job must not leave the guest as `before` made it.
    const signal = AbortSignal.timeout(after.length * timeLimitMs + PAY_MS);
    try {
      this.report('after', await this.engine.payGuest(this.claim, signal));
    } catch (error) {
      // They stay promised. The backup must not fail for it, nor hide why it failed.
      this.log.warn('backup.guest-commands-owed', { vmId: this.claim.vmId, error });
    }
  }

  private commands(list: GuestCommandsRequest['before']): GuestCommand[] {
    const timeLimitMs = this.asked?.timeLimitMs ?? 0;
    return list.map((words) => ({ words, timeLimitMs }));
  }

  private report(when: GuestCommandReport['when'], ends: readonly GuestCommandEnd[]): void {
    this.reports.push(...ends.map((end) => ({ when, ...end })));
  }
}

function described({ program, exitCode, problem }: GuestCommandEnd): string {
  return endText({
    program: plainWords(program, PROGRAM_CHARACTERS_MAX),
    ...(exitCode !== undefined && { exitCode }),
    ...(problem !== undefined && { problem: plainWords(problem, PROGRAM_CHARACTERS_MAX) }),
  });
}

function commandFailed(end: GuestCommandEnd): Fault {
  const { program, exitCode } = end;
  return new Fault(
    'backup.command-failed',
    `The command ${described(end)} before the freeze did not succeed, so no recovery point was taken.`,
    { program, ...(exitCode !== undefined && { exitCode }) },
  );
}
