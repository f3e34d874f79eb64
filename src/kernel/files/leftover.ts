import { systemCode } from '../fault.ts';
import { lstat, rm } from './files.ts';
import { ownUserId } from './held-folder.ts';

const OTHERS = 0o077;

/**
 * Removes a file that a stopped attempt of ours may have left under this name: a plain file of our
 * user to which nobody else has any right. Anything else stays.
 */
export async function removeLeftover(path: string): Promise<'removed' | 'absent' | 'not-ours'> {
  try {
    const facts = await lstat(path);
    if (!facts.isFile() || facts.uid !== ownUserId() || (facts.mode & OTHERS) !== 0) {
      return 'not-ours';
    }
    await rm(path);
    return 'removed';
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') {
      return 'absent';
    }
    throw error;
  }
}
