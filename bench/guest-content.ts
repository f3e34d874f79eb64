import { seededBytes } from '../test/support/random/seeded-bytes.ts';

const PAGE_BYTES = 8192;
const ROW_RANDOM_BYTES = 24;

const WORDS = [
  ...['order', 'invoice', 'customer', 'session', 'update', 'select', 'timeout', 'retry', 'user'],
  ...['accepted', 'rejected', 'connection', 'from', 'port', 'closed', 'started', 'finished', 'GET'],
  ...['POST', 'index', 'worker', 'queue', 'payment', 'shipping', 'address', 'stock', 'warning'],
];

function word(value: number): string {
  return WORDS[value % WORDS.length] ?? '';
}

/**
 * One row: words from a small vocabulary and numbers that nobody can guess. Compresses about 3:1.
 */
function row(random: Uint8Array, at: number, id: number): string {
  const view = Buffer.from(random.buffer, random.byteOffset + at, ROW_RANDOM_BYTES);
  const stamp = 1_700_000_000 + (view.readUInt32LE(0) % 10_000_000);
  const words = [...view.subarray(4, 12)].map(word).join(' ');
  return `${String(id)}|${String(stamp)}|${words}|${view.subarray(12).toString('hex')}\n`;
}

/** Text of rows, exactly `length` bytes, the same for the same seed. */
export function rows(seed: string, length: number): Buffer {
  const text = Buffer.alloc(length);
  const random = seededBytes(seed, Math.ceil(length / 64) * ROW_RANDOM_BYTES);
  let done = 0;
  for (let index = 0; done < length; index += 1) {
    done += text.write(row(random, (index * ROW_RANDOM_BYTES) % (random.length - 64), index), done);
  }
  return text;
}

/** A page of the database after half of its rows were updated. */
export function updatedPage(page: Uint8Array, seed: string): Uint8Array {
  const half = rows(seed, page.length / 2);
  return Buffer.concat([page.subarray(0, page.length - half.length), half]);
}

/** A file of the next version of its package: some bytes of every second page differ. */
export function updatedFile(content: Uint8Array, seed: string): Uint8Array {
  const updated = Uint8Array.from(content);
  const pages = Math.ceil(content.length / 4096);
  const random = seededBytes(seed, pages * 132);
  for (let index = 0; index < pages; index += 1) {
    const at = index * 132;
    if ((random[at] ?? 0) % 2 === 0) {
      const place = index * 4096 + (random[at + 1] ?? 0) * 15;
      const patch = random.subarray(at + 4, at + 4 + 16 + ((random[at + 2] ?? 0) % 112));
      const room = Math.max(0, updated.length - place);
      updated.set(patch.subarray(0, room), room === 0 ? 0 : place);
    }
  }
  return updated;
}

export { PAGE_BYTES };
