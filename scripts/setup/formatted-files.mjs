import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesOf } from './files-of.mjs';
import { KnownHashes } from './known-hashes.mjs';

const HASHES_MAX = 20_000;

/**
 * Which files are formatted as Prettier would do it follows from their content, their names, its
 * version and its settings.
 */
export class FormattedFiles {
  #root;
  #known = new KnownHashes('formatted', HASHES_MAX);
  #hashes = [];

  constructor(root) {
    this.#root = root;
  }

  /** Of Prettier, for what nobody has looked at. */
  parameters() {
    const settings = ['.prettierrc.json', '.prettierignore', 'node_modules/prettier/package.json'];
    const base = settings.map((name) => readFileSync(join(this.#root, name))).join('\0');
    const unknown = [];
    for (const name of filesOf(this.#root)) {
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
    this.#known.add(this.#hashes);
  }
}
