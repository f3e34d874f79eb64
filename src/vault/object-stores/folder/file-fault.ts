import { Fault, systemCode, type FaultCode } from '../../../kernel/fault.ts';

const NO_SPACE = ['ENOSPC', 'EDQUOT'];
const REFUSED = ['EACCES', 'EPERM', 'EROFS'];
/** A folder, disk, mount or network file system does not answer now, or too many files are open. */
const AWAY = ['ENOENT', 'EIO', 'ESTALE', 'ENXIO', 'ENODEV', 'ENOTCONN', 'ETIMEDOUT', 'EHOSTDOWN'];
const BUSY = ['EMFILE', 'ENFILE', 'EBUSY', 'EAGAIN', 'ENOMEM'];
/**
 * There is a file in place of a folder or the other way round, or the file system is too small for
 * the object.
 */
const UNFIT = ['ENOTDIR', 'EISDIR', 'EEXIST', 'ELOOP', 'ENAMETOOLONG', 'EFBIG', 'EINVAL'];

/** Returns the fault for a failed system call on a store; any other error is returned as it is. */
export function faultOfFileError(error: unknown, location: string): unknown {
  const code = systemCode(error) ?? '';
  const fault = (faultCode: FaultCode, message: string): Fault =>
    new Fault(faultCode, message, { location, systemCode: code }, { cause: error });
  if (NO_SPACE.includes(code)) {
    return fault('store.full', `No space is left in ${location} (${code}). Make room and repeat.`);
  }
  if (REFUSED.includes(code)) {
    return fault(
      'store.denied',
      `The file system refuses access to ${location} (${code}). Check its owner and mode.`,
    );
  }
  if (AWAY.includes(code) || BUSY.includes(code)) {
    return fault('store.unreachable', `${location} does not answer (${code}).`);
  }
  if (UNFIT.includes(code)) {
    return fault(
      'store.refused',
      `The file system cannot hold an object of ${location} (${code}). Look for foreign files.`,
    );
  }
  return error;
}
