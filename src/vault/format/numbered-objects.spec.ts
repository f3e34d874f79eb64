import { newestNumbered, nextNumbered } from './numbered-objects.ts';
import { numberOf } from './object-names.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';

const RAND = 'ab'.repeat(16);
const { signal } = new AbortController();

async function storeOf(...keys: string[]): Promise<MemoryObjectStore> {
  const store = new MemoryObjectStore();
  for (const key of keys) {
    await store.put(key, new Uint8Array(1), signal);
  }
  return store;
}

describe('numbered objects', () => {
  it('counts by number, not by text, and leaves out what has none', async () => {
    const newest = `gc/1000000-${RAND}`;
    const done = `gc/9999999-${RAND}.done`;
    const store = await storeOf(newest, `gc/999999-${RAND}`, done, 'gc/nonsense');

    expect(await newestNumbered(store, 'gc/', signal)).toBe(newest);
    expect(numberOf(await nextNumbered(store, 'gc/', signal))).toBe(1_000_001);
  });

  it('begins with 1 where there is none', async () => {
    const store = await storeOf(`gc/000007-${RAND}`);

    expect(await newestNumbered(store, 'fmt/', signal)).toBeUndefined();
    expect(numberOf(await nextNumbered(store, 'fmt/', signal))).toBe(1);
  });
});
