import { Fault, systemCode, SystemFault } from '../kernel/fault.ts';

const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);

/** Returns the fault for an error of an image, if it means more than for any other file. */
function imageFault(path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (!(error instanceof SystemFault) || code === undefined) {
    return error;
  }
  const context = { path, code };
  if (ABSENT.has(code)) {
    return new Fault('formats.image-missing', `There is no ${path}. Check the name.`, context, {
      cause: error,
    });
  }
  return error.code === 'file.failed'
    ? new Fault(
        'formats.io-failed',
        `The system cannot read or write ${path} (${code}). Check the disk and the log of the kernel.`,
        context,
        { cause: error },
      )
    : error;
}

/** Runs an operation on a file; turns its errors into faults. */
export async function onFile<Result>(path: string, run: Promise<Result>): Promise<Result> {
  return run.catch((error: unknown) => {
    throw imageFault(path, error);
  });
}
