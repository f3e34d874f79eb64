import { z } from 'zod';
import type { BackupParameters } from '../../backup/backup.job.ts';
import { Duration, durationMs } from './duration.ts';

const COMMANDS_MAX = 8;
const WORDS_MAX = 32;
const LIMIT_MS_MAX = 10 * 60_000;

/** A program inside the guest and its parameters. No shell reads them. */
const Command = z
  .array(
    z
      .string()
      .min(1)
      .max(1024)
      .regex(/^[^\0\n\r]*$/, 'one line'),
    'a list of words such as ["/usr/bin/sync"], not a line for a shell',
  )
  .min(1)
  .max(WORDS_MAX)
  .refine((words) => words[0]?.startsWith('/') === true, 'must begin with the path of a program');
const Commands = z.array(Command).min(1).max(COMMANDS_MAX);

/** What runs inside each guest, as its administrator, around the freeze. */
export const GuestCommands = z
  .strictObject({
    before: Commands.optional(),
    after: Commands.optional(),
    /** Of each command. */
    timeLimit: Duration.refine(
      (text) => durationMs(text) <= LIMIT_MS_MAX,
      'at most 10m for a command',
    ).default('30s'),
    /** What a run does when one of `before` fails. */
    onFailure: z.enum(['abort', 'crash-consistent']).default('abort'),
  })
  .refine(({ before, after }) => before !== undefined || after !== undefined, 'names no command');
export type GuestCommands = z.infer<typeof GuestCommands>;

/** Returns the commands of a policy as its backups get them. */
export function guestCommandsOf(
  commands: GuestCommands | undefined,
): Pick<BackupParameters, 'guestCommands'> {
  if (commands === undefined) {
    return {};
  }
  const { before = [], after = [], timeLimit, onFailure } = commands;
  return { guestCommands: { before, after, timeLimitMs: durationMs(timeLimit), onFailure } };
}
