/** How far a long operation is. `totalBytes` may grow while it is being found out. */
export interface Progress {
  /** What is being done, one word or two: `reading`, `sealing`. */
  readonly phase: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** What is counted instead of bytes, in the plural: `points`. */
  readonly counted?: string;
  /** Why it does not go on now, as a sentence for people. */
  readonly trouble?: string;
}

/** Called often and synchronously; must be cheap. */
export type ReportProgress = (progress: Progress) => void;

/** Reports one part of a whole: what is done before it and what comes after it is added. */
export function partOf(
  report: ReportProgress,
  around: { readonly beforeBytes: number; readonly afterBytes: number },
): ReportProgress {
  return ({ phase, doneBytes, totalBytes, ...rest }) => {
    report({
      ...rest,
      phase,
      doneBytes: around.beforeBytes + doneBytes,
      totalBytes: around.beforeBytes + totalBytes + around.afterBytes,
    });
  };
}

/** What long operations get besides their input. */
export interface Running {
  readonly signal: AbortSignal;
  readonly report?: ReportProgress;
}
