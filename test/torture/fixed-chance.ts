import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

let counter = 0;
let seedText = '';
let pool = Buffer.alloc(0);

function take(length: number): Buffer {
  while (pool.length < length) {
    const block = crypto.createHash('sha512').update(`${seedText}/${counter++}`).digest();
    pool = Buffer.concat([pool, block]);
  }
  const bytes = Buffer.from(pool.subarray(0, length));
  pool = pool.subarray(length);
  return bytes;
}

/**
 * From now on everything that this process draws from node:crypto follows from the seed: keys,
 * ULIDs, names. Otherwise chunks would be cut elsewhere in every run, and a failing schedule could
 * not be run again. For a process that does nothing else.
 */
export function fixChance(seed: string): void {
  counter = 0;
  seedText = seed;
  pool = Buffer.alloc(0);
  Object.assign(crypto, {
    randomBytes: take,
    randomInt: (limit: number) => take(4).readUInt32LE() % limit,
    randomUUID: () => {
      const hex = take(16).toString('hex');
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
    },
  });
  syncBuiltinESMExports();
}
