import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './cache.mjs';

const FILE = join(cacheFolder('check'), 'formatted.json');
const HASHES_MAX = 20_000;

/**
 * Which files are formatted as Prettier would do it follows from their content, their names, its
 * version and its settings. What was found once holds for every clone.
 */
export class FormattedFiles {
  #root;
  #known;
  #hashes = [];

  constructor(root) {
    this.#root = root;
    this.#known = known();
  }

  /** Of Prettier, for what nobody has looked at. */
  parameters() {
    const settings = ['.prettierrc.json', '.prettierignore', 'node_modules/prettier/package.json'];
    const base = settings.map((name) => readFileSync(join(this.#root, name))).join('\0');
    const unknown = [];
    for (const name of this.#files()) {
      const content = readFileSync(join(this.#root, name));
      const hash = createHash('sha256').update(`${base}\0${name}\0`).update(content);
      this.#hashes.push(hash.digest('base64url'));
      if (!this.#known.has(this.#hashes.at(-1))) {
        unknown.push(name);
      }
    }
    // Without a single file it would refuse to run.
    return ['--check', '--ignore-unknown', ...(unknown.length > 0 ? unknown : ['package.json'])];
  }

  /** They are all formatted. */
  remember() {
    const draft = `${FILE}.${process.pid}.tmp`;
    const hashes = [...new Set([...this.#hashes, ...known()])].slice(0, HASHES_MAX);
    writeFileSync(draft, JSON.stringify(hashes));
    renameSync(draft, FILE);
  }

  #files() {
    const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    const options = { cwd: this.#root, encoding: 'utf8', maxBuffer: 2 ** 26 };
    return execFileSync('git', list, options)
      .split('\0')
      .filter(
        (name) =>
          name !== '' && statSync(join(this.#root, name), { throwIfNoEntry: false })?.isFile(),
      );
  }
}

function known() {
  try {
    return new Set(JSON.parse(readFileSync(FILE, 'utf8')));
  } catch {
    // Never written, or cut off: everything is looked at.
    return new Set();
  }
}
