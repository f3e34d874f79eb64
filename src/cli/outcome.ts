/** What a command that succeeded has to say: printed by the runner, once, at the end. */
export interface Outcome {
  /** The answer for programs: printed with `--json`, as one document. */
  readonly document: unknown;
  /** The answer for people, lines with line ends; may be empty. */
  readonly text: string;
}
