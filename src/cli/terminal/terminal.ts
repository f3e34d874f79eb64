import type { Readable } from 'node:stream';

/** The part of a stream that commands write to. */
export interface TextSink {
  write(text: string): unknown;
  /** True for a terminal, where lines can be redrawn. */
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Standard input. */
export type TextSource = Readable & {
  readonly isTTY?: boolean;
  /** Switches echo and line editing off. Only terminals have it. */
  setRawMode?(raw: boolean): unknown;
};

/** The streams of a command: those of the process, or buffers in a test. */
export interface Terminal {
  /** Results. With `--json` exactly one JSON document. */
  readonly output: TextSink;
  /** Progress, questions, warnings and errors. */
  readonly errors: TextSink;
  readonly input: TextSource;
}
