import { isFault, systemCode, SystemFault, type FaultCode } from '../fault.ts';

interface Meaning {
  readonly code: FaultCode;
  /** What is wrong with the file, and what to do. */
  readonly words: (path: string) => string;
}

const FULL: Meaning = {
  code: 'host.disk-full',
  words: (path) => `No space is left for ${path}. Free some space, or inodes, and repeat.`,
};
const LIMIT: Meaning = {
  code: 'host.limit-reached',
  words: (path) =>
    `The system gives no more open files or memory, which ${path} needs. Raise the limit (ulimit -n) or end something, and repeat.`,
};
const MISSING: Meaning = {
  code: 'file.missing',
  words: (path) => `There is no ${path}. Check the name.`,
};
const DENIED: Meaning = {
  code: 'file.denied',
  words: (path) => `Access to ${path} is refused. Check its owner and mode, or name another place.`,
};
const BUSY: Meaning = {
  code: 'file.busy',
  words: (path) => `${path} is in use by another program. Repeat when that has ended.`,
};
const EXISTS: Meaning = {
  code: 'file.exists',
  words: (path) => `Something is in the way at ${path}. Look what it is, or name another place.`,
};

const unfit = (what: string): Meaning => ({
  code: 'file.unfit',
  words: (path) => `${path} ${what}. Name another place.`,
});

/** Meanings of system errors; every other code is `file.failed`. See errno(3). */
const MEANINGS: Readonly<Partial<Record<string, Meaning>>> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  EMFILE: LIMIT,
  ENFILE: LIMIT,
  ENOMEM: LIMIT,
  EAGAIN: LIMIT,
  ENOLCK: LIMIT,
  ENOENT: MISSING,
  EACCES: DENIED,
  EPERM: DENIED,
  EROFS: {
    code: 'file.denied',
    words: (path) =>
      `${path} is on a file system that is mounted read-only. Mount it for writing, or name another place.`,
  },
  EEXIST: EXISTS,
  ENOTEMPTY: EXISTS,
  EBUSY: BUSY,
  ETXTBSY: BUSY,
  ENOTDIR: unfit('has a file where a folder should be'),
  EISDIR: unfit('is a folder, and a file is needed'),
  ERR_FS_EISDIR: unfit('is a folder, and a file is needed'),
  ELOOP: unfit('has a symbolic link that leads nowhere or is not followed here'),
  ENAMETOOLONG: unfit('has a longer name than the file system takes'),
  EFBIG: unfit('would be larger than its file system or the limit of this process allows'),
  ERR_FS_FILE_TOO_LARGE: unfit('is too large to be read at once'),
  EXDEV: unfit('is on another file system'),
  EINVAL: unfit('cannot be used like this on its file system'),
  ENOTSUP: unfit('is on a file system that lacks what is needed'),
  EOPNOTSUPP: unfit('is on a file system that lacks what is needed'),
  ENOSYS: unfit('is on a file system that lacks what is needed'),
};

const FAILED: Meaning = {
  code: 'file.failed',
  words: (path) =>
    `${path} cannot be read or written now. Look at the disk and at the kernel's log, and repeat.`,
};

/** POSIX codes, and codes of Node for what it refuses itself. */
const SYSTEM_CODE = /^E[A-Z0-9]+$|^ERR_FS_/;

/** Returns the fault for a system error; anything else, faults too, is returned as it is. */
export function systemFault(error: unknown, path?: string): unknown {
  const system = systemCode(error);
  if (isFault(error) || system === undefined || !SYSTEM_CODE.test(system)) {
    return error;
  }
  const { path: named } = error as { path?: unknown };
  const place = typeof named === 'string' ? named : (path ?? 'a file');
  const { code, words } = MEANINGS[system] ?? FAILED;
  return new SystemFault(code, `${words(place)} (${system})`, { path: place, system }, error);
}
