import { Fault, systemCode } from '../fault.ts';
import { closeSync, fstatSync, openSync, readFileSync } from './files.ts';

const SECRET_BYTES_MAX = 64 * 1024;
const OTHERS = 0o077;

/**
 * Reads the first line of a file with a secret: a passphrase, a token.
 *
 * @param setting what named the file, for people
 * @throws Fault `secret.exposed` if others may read it, `request.invalid` if it is missing, empty,
 *   too large or unreadable
 */
export function readSecretFile(path: string, setting: string): string {
  const [line = ''] = readSecretText(path, setting).split(/\r?\n/, 1);
  if (line === '') {
    throw new Fault(
      'request.invalid',
      `The first line of ${path} is empty (${setting}). Write the secret there, or name another file.`,
      { path },
    );
  }
  return line;
}

/** Reads the whole text of such a file. A pipe belongs to its maker and is read as it is. */
export function readSecretText(path: string, setting: string): string {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const facts = fstatSync(file);
    if (facts.isFile() && isExposed(facts.mode)) {
      throw new Fault(
        'secret.exposed',
        `${path} can be read by other users of this machine (${setting}). It was not used. Make it yours alone: chmod 600 ${path}`,
        { path },
      );
    }
    if (facts.size > SECRET_BYTES_MAX) {
      throw new Fault('request.invalid', `${path} is too large for a secret (${setting}).`, {
        path,
      });
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw systemCode(error) === undefined ? error : notRead(error, path, setting);
  } finally {
    if (file !== undefined) {
      closeSync(file);
    }
  }
}

/** Whether the group or others have any right to a file. */
export function isExposed(mode: number): boolean {
  return (mode & OTHERS) !== 0;
}

function notRead(error: unknown, path: string, setting: string): unknown {
  const code = systemCode(error);
  if (code === undefined) {
    return error;
  }
  const what =
    code === 'ENOENT'
      ? `There is no file ${path}`
      : code === 'EISDIR'
        ? `${path} is a folder`
        : `${path} cannot be read (${code})`;
  return new Fault(
    'request.invalid',
    `${what} (${setting}). Name the file that holds the secret.`,
    { path },
    { cause: error },
  );
}
