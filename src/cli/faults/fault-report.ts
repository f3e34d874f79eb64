import type { FaultContext } from '../../kernel/fault.ts';
import { plainText } from '../terminal/plain-text.ts';

/** Exit code for a bug (sysexits.h EX_SOFTWARE). */
export const EXIT_BUG = 70;
/** 128 + SIGINT, as shells report it. */
export const EXIT_INTERRUPTED = 130;
/** 128 + SIGPIPE: the reader of our output went away. */
export const EXIT_BROKEN_PIPE = 141;

/** A failure as the user sees it: on standard error and, with `--json`, as the document. */
export interface FaultReport {
  readonly code: string;
  readonly message: string;
  /** What it means for the data. */
  readonly meaning: string;
  /** What to do. */
  readonly next: string;
  readonly context: FaultContext;
  readonly exitCode: number;
}

/** Returns the report as lines for people. */
export function reportText({ code, message, meaning, next }: FaultReport): string {
  const lines = message.split('\n').map(plainText).join('\n');
  return `error ${plainText(code)}: ${lines}\n  Your data: ${meaning}\n  Next step: ${next}\n`;
}
