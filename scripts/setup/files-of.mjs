import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';

/** Names of the files of a checkout, without what git ignores. */
export function filesOf(root) {
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 };
  return execFileSync('git', list, options)
    .split('\0')
    .filter(
      (name) => name !== '' && statSync(join(root, name), { throwIfNoEntry: false })?.isFile(),
    );
}
