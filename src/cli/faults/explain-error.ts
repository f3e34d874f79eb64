import { EXIT_CODES, Fault, FAULTS, isAbort } from '../../kernel/fault.ts';
import { adviceFor } from './fault-advice.ts';
import { EXIT_BUG, EXIT_INTERRUPTED, type FaultReport } from './fault-report.ts';
import { FailedInPart } from '../outcome.ts';
import { ServiceProblem } from '../service/service-problem.ts';

/** Explains `error`; with a stack only for a bug. */
export function reportOf(error: unknown): FaultReport {
  if (error instanceof Fault) {
    const { data, next } = adviceFor(error.code, error.kind);
    return {
      code: error.code,
      message: error.message,
      meaning: data,
      next,
      context: error.context,
      exitCode: EXIT_CODES[FAULTS[error.code].kind],
    };
  }
  if (error instanceof ServiceProblem || error instanceof FailedInPart) {
    return error.report;
  }
  if (isAbort(error)) {
    return {
      code: 'cancelled',
      message: 'Stopped.',
      meaning: 'Nothing half-done counts: recovery points are whole or absent.',
      next: 'Run the same command again; what the vault already has is not sent twice.',
      context: {},
      exitCode: EXIT_INTERRUPTED,
    };
  }
  return bugReport(error);
}

function bugReport(error: unknown): FaultReport {
  const stack = Error.isError(error) ? (error.stack ?? String(error)) : String(error);
  return {
    code: 'internal',
    message: stack,
    meaning:
      'This is a bug in Hyperkeep. Recovery points that were reported as done are not touched by it.',
    next: 'Please report it with the lines above and the command that was run.',
    context: {},
    exitCode: EXIT_BUG,
  };
}
