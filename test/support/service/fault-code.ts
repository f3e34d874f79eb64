import { isFault, type FaultCode } from '../../../src/kernel/fault.ts';

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

/** The same for work that goes on; waits for it. */
export async function faultCodeOf(work: Promise<unknown>): Promise<FaultCode | undefined> {
  const error = await work.then(
    () => undefined,
    (failure: unknown) => ({ failure }),
  );
  return error === undefined
    ? undefined
    : faultCode(() => {
        throw error.failure;
      });
}
