/** How much is kept of what a program in a guest printed. */
export const GUEST_OUTPUT_BYTES_MAX = 64 * 1024;

/** A program to run inside a guest, as its administrator. */
export interface GuestCommand {
  /** The path of the program and its parameters. No shell reads them. */
  readonly words: readonly string[];
  /** It may go on in the guest afterwards: agents cannot end a program. */
  readonly timeLimitMs: number;
}

/** How a program inside a guest ended. */
export interface GuestCommandEnd {
  /** The path, without parameters: these may be secret. */
  readonly program: string;
  /** Undefined if it did not end by itself in time. */
  readonly exitCode?: number;
  /** Why there is no exit code, for people: `did not end in 30 s`. */
  readonly problem?: string;
  /** What it printed, standard output before standard error. */
  readonly output: string;
  /** Whether it printed more than `GUEST_OUTPUT_BYTES_MAX`. */
  readonly isCut: boolean;
  readonly durationMs: number;
}

/** True if the program ended with success. */
export function succeeded({ exitCode }: Pick<GuestCommandEnd, 'exitCode'>): boolean {
  return exitCode === 0;
}

/** Returns how a command ended, as a part of a sentence: `/usr/bin/sync (exit code 0)`. */
export function endText({
  program,
  exitCode,
  problem,
}: Pick<GuestCommandEnd, 'program' | 'exitCode' | 'problem'>): string {
  return `${program} (${exitCode === undefined ? (problem ?? 'not known') : `exit code ${String(exitCode)}`})`;
}
