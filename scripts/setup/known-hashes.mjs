import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, replaceFile } from './cache.mjs';

/** Hashes of contents that passed a check: kept outside the clone, because they hold in each. */
export class KnownHashes {
  #file;
  #max;
  #known;

  /** @param max how many are kept, the newest */
  constructor(name, max) {
    this.#file = join(cacheFolder('check'), `${name}.json`);
    this.#max = max;
    this.#known = this.#read();
  }

  has(hash) {
    return this.#known.has(hash);
  }

  /** Another run may have added some since. */
  add(hashes) {
    const all = [...new Set([...hashes, ...this.#read()])].slice(0, this.#max);
    replaceFile(this.#file, JSON.stringify(all));
  }

  #read() {
    try {
      return new Set(JSON.parse(readFileSync(this.#file, 'utf8')));
    } catch {
      // Never written, or cut off: everything is looked at.
      return new Set();
    }
  }
}
