import { Fault, systemCode } from '../kernel/fault.ts';

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);

/** The fault for an error of the file system; anything else passes through. */
function fileFault(path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) {
    return error;
  }
  const context = { path, code };
  if (FULL.has(code)) {
    return new Fault(
      'host.disk-full',
      `No space left for ${path}. Free some space and repeat.`,
      context,
      { cause: error },
    );
  }
  if (ABSENT.has(code)) {
    return new Fault('formats.image-missing', `There is no ${path}. Check the name.`, context, {
      cause: error,
    });
  }
  return new Fault(
    'formats.io-failed',
    `The system refuses to read or write ${path} (${code}). Check the disk and the rights of the file.`,
    context,
    { cause: error },
  );
}

/** Runs an operation on a file; its errors come out as faults. */
export async function onFile<Result>(path: string, run: Promise<Result>): Promise<Result> {
  return run.catch((error: unknown) => {
    throw fileFault(path, error);
  });
}
