import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder } from './cache.mjs';

/** Stands for the folder of a clone in what is kept. */
const ROOT = '@root@';

/**
 * What ESLint found without fault, by the contents of the files and the hash of its configuration:
 * kept outside the clone, because what is known of one clone holds for another.
 */
export class LintCache {
  #root;
  #kept;
  /** For `--cache-location`. */
  file;

  constructor(root, name) {
    this.#root = root;
    this.#kept = join(cacheFolder('check'), `eslint-${name}.json`);
    this.file = join(root, 'node_modules/.cache', `eslint-${name}.json`);
    if (!existsSync(this.file) && existsSync(this.#kept)) {
      mkdirSync(dirname(this.file), { recursive: true });
      writeFileSync(this.file, readFileSync(this.#kept, 'utf8').replaceAll(ROOT, root));
    }
  }

  get parameters() {
    return ['--cache', '--cache-strategy', 'content', '--cache-location', this.file];
  }

  keep() {
    const draft = `${this.#kept}.${process.pid}.tmp`;
    writeFileSync(draft, readFileSync(this.file, 'utf8').replaceAll(this.#root, ROOT));
    renameSync(draft, this.#kept);
  }
}
