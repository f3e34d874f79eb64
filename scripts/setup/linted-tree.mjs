import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesOf } from './files-of.mjs';
import { KnownHashes } from './known-hashes.mjs';

const HASHES_MAX = 500;
/** Code, and what settles versions and rules. */
const READ = /[.](ts|mts|mjs|cjs|json)$/;

/**
 * Rules look at types, which come from other files: what lint finds follows from all code together,
 * not from one file at a time. So only the very same code is known in another clone.
 */
export class LintedTree {
  #known = new KnownHashes('linted', HASHES_MAX);
  #hash;

  constructor(root) {
    const hash = createHash('sha256').update(process.version);
    for (const name of filesOf(root).filter((one) => READ.test(one))) {
      const content = createHash('sha256')
        .update(readFileSync(join(root, name)))
        .digest();
      hash.update(`\0${name}\0`).update(content);
    }
    this.#hash = hash.digest('base64url');
  }

  /** Whether this part of the code was linted without fault. */
  isKnown(part) {
    return this.#known.has(`${part} ${this.#hash}`);
  }

  remember(part) {
    this.#known.add([`${part} ${this.#hash}`]);
  }
}
