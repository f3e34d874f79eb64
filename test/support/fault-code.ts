import { isFault, type FaultCode } from '../../src/kernel/fault.ts';

/** The code of the fault that `work` throws; undefined if it throws none. */
export function faultCode(work: () => unknown): FaultCode | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (isFault(error)) {
      return error.code;
    }
    throw error;
  }
}
