import { type FaultReport } from './faults/fault-report.ts';

/** What a command that succeeded has to say: printed by the runner, once, at the end. */
export interface Outcome {
  /** The answer for programs: printed with `--json`, as one document. */
  readonly document: unknown;
  /** The answer for people, lines with line ends; may be empty. */
  readonly text: string;
}

/**
 * Some of several things that were asked for failed: one report for all, and what became of each.
 */
export class FailedInPart extends Error {
  override readonly name = 'FailedInPart';
  readonly report: FaultReport;
  /** Beside `error` in the document. */
  readonly document: object;

  constructor(report: FaultReport, document: object) {
    super(report.message);
    this.report = report;
    this.document = document;
  }
}
