import type { ObjectEntry, ObjectStore } from '../store/object-store.ts';

/** A key that the source has, the target has, or both. */
export interface PairedEntry {
  readonly key: string;
  readonly sourceBytes: number | undefined;
  readonly targetBytes: number | undefined;
}

/** Lists two stores side by side, in the order of keys. Holds one page of each in memory. */
export async function* pairedListing(
  source: ObjectStore,
  target: ObjectStore,
  prefix: string,
  signal: AbortSignal,
): AsyncIterable<PairedEntry> {
  const left = source.list(prefix, signal)[Symbol.asyncIterator]();
  const right = target.list(prefix, signal)[Symbol.asyncIterator]();
  try {
    let [a, b] = [await next(left), await next(right)];
    while (a !== undefined || b !== undefined) {
      const order = compare(a, b);
      const [here, there] = [order <= 0 ? a : undefined, order >= 0 ? b : undefined];
      yield pair(here, there);
      a = here === undefined ? a : await next(left);
      b = there === undefined ? b : await next(right);
    }
  } finally {
    await left.return?.();
    await right.return?.();
  }
}

function pair(source: ObjectEntry | undefined, target: ObjectEntry | undefined): PairedEntry {
  const key = source?.key ?? target?.key ?? '';
  return { key, sourceBytes: source?.size, targetBytes: target?.size };
}

async function next(entries: AsyncIterator<ObjectEntry>): Promise<ObjectEntry | undefined> {
  const result = await entries.next();
  return result.done === true ? undefined : result.value;
}

/** Keys are ASCII, so code units sort as bytes do. */
function compare(a: ObjectEntry | undefined, b: ObjectEntry | undefined): number {
  if (a === undefined || b === undefined) {
    return a === undefined ? 1 : -1;
  }
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}
