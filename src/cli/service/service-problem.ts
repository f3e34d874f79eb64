import {
  EXIT_CODES,
  Fault,
  FAULTS,
  type FaultCode,
  type FaultContext,
} from '../../kernel/fault.ts';
import { EXIT_BUG, EXIT_INTERRUPTED, type FaultReport } from '../faults/fault-report.ts';

/**
 * A problem that the service reported under a code that this version of the command line does not
 * know.
 */
export class ServiceProblem extends Error {
  override readonly name = 'ServiceProblem';
  readonly report: FaultReport;

  constructor(report: FaultReport) {
    super(report.message);
    this.report = report;
  }
}

interface RemoteFault {
  readonly code: string;
  readonly message: string;
  readonly context: FaultContext;
}

/** Converts the service's failure to an error: a Fault if the code is known. */
export function remoteError({ code, message, context }: RemoteFault): Error {
  if (Object.hasOwn(FAULTS, code)) {
    return new Fault(code as FaultCode, message, context);
  }
  if (code === 'cancelled') {
    return new ServiceProblem({
      code,
      message,
      meaning: 'Nothing half-done counts: recovery points are whole or absent.',
      next: 'Start it again when you want it; what the vault already has is not sent twice.',
      context,
      exitCode: EXIT_INTERRUPTED,
    });
  }
  if (code === 'internal') {
    return new ServiceProblem({
      code,
      message,
      meaning:
        'This is a bug in the service. Recovery points that were reported as done are not touched by it.',
      next: 'Look for the error in the log of the service and report it.',
      context,
      exitCode: EXIT_BUG,
    });
  }
  return new ServiceProblem({
    code,
    message,
    meaning: 'This command line is older than the service and does not know the code.',
    next: 'Read docs/errors.md of the version the service runs.',
    context,
    exitCode: EXIT_CODES.unavailable,
  });
}
