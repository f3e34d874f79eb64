import { type Readable } from 'node:stream';

/** The part of a stream that commands write to. */
export interface TextSink {
  write(text: string): unknown;
  /** True for a terminal: lines may be drawn over. */
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Standard input. */
export type TextSource = Readable & {
  readonly isTTY?: boolean;
  /** Switches echo and line editing off. Only a terminal has it. */
  setRawMode?(raw: boolean): unknown;
};

/** Where a command talks to: the process's streams, or buffers in a test. */
export interface Terminal {
  /** Results. With `--json` exactly one JSON document. */
  readonly output: TextSink;
  /** Progress, questions, warnings and errors. */
  readonly errors: TextSink;
  readonly input: TextSource;
}
