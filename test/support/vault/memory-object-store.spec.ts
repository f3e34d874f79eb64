import { describeObjectStore } from '../../contract/object-store.contract.ts';
import { MemoryObjectStore } from './memory-object-store.ts';

describeObjectStore('MemoryObjectStore', async () => new MemoryObjectStore());

describe('MemoryObjectStore', () => {
  it('refuses data that is not what its sender hashed', async () => {
    const store = new MemoryObjectStore();
    const { signal } = new AbortController();

    await expect(
      store.put('x', Uint8Array.of(1), signal, { sha256: new Uint8Array(32) }),
    ).rejects.toMatchObject({ code: 'store.hash-mismatch' });

    expect(await store.get('x', signal)).toBeUndefined();
  });
});
