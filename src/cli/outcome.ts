import type { FaultReport } from './faults/fault-report.ts';

/** Exit code of `status` when a VM is not protected as it should be. */
export const EXIT_NOT_WELL = 1;

/** The result of a command that succeeded: the runner prints it once, at the end. */
export interface Outcome {
  /** The answer for programs: printed with `--json`, as one document. */
  readonly document: unknown;
  /** The answer for people, lines with line ends; may be empty. */
  readonly text: string;
  /** Default: 0. What was asked for was done, and the answer is that something is not well. */
  readonly exitCode?: typeof EXIT_NOT_WELL;
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
