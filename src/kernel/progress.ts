/** Progress of a long operation. `totalBytes` may grow during it. */
export interface Progress {
  /** What is being done, in one or two words: `reading`, `sealing`. */
  readonly phase: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** What is counted instead of bytes, in the plural: `points`. */
  readonly counted?: string;
  /** Why it makes no progress now, as a sentence for people. */
  readonly trouble?: string;
  /** What people should know before it is done, as sentences. */
  readonly notes?: readonly string[];
}

/** Called often and synchronously; must be cheap. */
export type ReportProgress = (progress: Progress) => void;

/**
 * Returns a report for one part of a whole: adds what is done before it and what comes after it.
 */
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
