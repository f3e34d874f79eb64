/** How far a long operation is. `totalBytes` may grow while it is being found out. */
export interface Progress {
  /** What is being done, one word or two: `reading`, `sealing`. */
  readonly phase: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Called often and synchronously; must be cheap. */
export type ReportProgress = (progress: Progress) => void;
