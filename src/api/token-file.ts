import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { writeDurably } from '../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../kernel/fault.ts';
import { readFile, stat } from '../kernel/files/files.ts';
import { TOKEN_FILE } from './contract/access.ts';

const TOKEN_BYTES = 32;
const OTHERS = 0o077;

/**
 * Returns the token that every request over TCP carries. It is made at the first start, mode 0600;
 * remove the file and restart for a new one.
 */
export async function readOrMakeToken(home: string): Promise<string> {
  const path = join(home, TOKEN_FILE);
  try {
    if (((await stat(path)).mode & OTHERS) !== 0) {
      throw new Fault(
        'secret.exposed',
        `${path} can be read by others; remove it, and the next start makes a new token.`,
        { path },
      );
    }
    const token = (await readFile(path, 'utf8')).trim();
    if (token !== '') {
      return token;
    }
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') {
      throw error;
    }
  }
  const made = randomBytes(TOKEN_BYTES).toString('base64url');
  await writeDurably(path, `${made}\n`);
  return made;
}
