import { Fault, systemCode, type FaultCode } from '../../kernel/fault.ts';

const NO_SPACE = ['ENOSPC', 'EDQUOT'];
const REFUSED = ['EACCES', 'EPERM', 'EROFS'];
/**
 * A folder, a disk, a mount or a network file system that does not answer now; or too many open
 * files.
 */
const AWAY = ['ENOENT', 'EIO', 'ESTALE', 'ENXIO', 'ENODEV', 'ENOTCONN', 'ETIMEDOUT', 'EHOSTDOWN'];
const BUSY = ['EMFILE', 'ENFILE', 'EBUSY', 'EAGAIN', 'ENOMEM'];
/**
 * Somebody put a file where a folder belongs or the other way round, or the file system is too
 * small for the object.
 */
const UNFIT = ['ENOTDIR', 'EISDIR', 'EEXIST', 'ELOOP', 'ENAMETOOLONG', 'EFBIG', 'EINVAL'];

/**
 * What a failed system call means for an object store; the error itself if it is no system error.
 */
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
