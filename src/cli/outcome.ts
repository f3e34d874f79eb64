import { type FaultReport } from './faults/fault-report.ts';

/** The result of a command that succeeded: the runner prints it once, at the end. */
export interface Outcome {
  /** The answer for programs: printed with `--json`, as one document. */
  readonly document: unknown;
  /** The answer for people, lines with line ends; may be empty. */
  readonly text: string;
}

/** Some of several requested things failed: one report for all, and how each ended. */
export class FailedInPart extends Error {
  override readonly name = 'FailedInPart';
  readonly report: FaultReport;
  /** Added to the document beside `error`. */
  readonly document: object;

  constructor(report: FaultReport, document: object) {
    super(report.message);
    this.report = report;
    this.document = document;
  }
}
