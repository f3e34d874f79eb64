import { describeObjectStore } from '../../../test/contract/object-store.contract.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { MeteredObjectStore } from './metered.ts';

const { signal } = new AbortController();

describeObjectStore(
  'MeteredObjectStore',
  async () => new MeteredObjectStore(new MemoryObjectStore()),
);

describe('MeteredObjectStore', () => {
  it('counts requests by kind, and bytes', async () => {
    const store = new MeteredObjectStore(new MemoryObjectStore());
    await store.put('a', new Uint8Array(100), signal);
    await store.get('a', signal);
    await store.get('missing', signal);
    await store.getRange('a', { suffix: 10 }, signal);
    await Array.fromAsync(store.list('none', signal));
    await store.remove('a', signal);

    expect(store.traffic).toEqual({
      puts: 1,
      gets: 3,
      lists: 1,
      removes: 1,
      sentBytes: 100,
      receivedBytes: 110,
    });
  });

  it('counts a long list once per page', async () => {
    const store = new MeteredObjectStore(new MemoryObjectStore());
    for (let index = 0; index < 1001; index += 1) {
      await store.put(`k/${index}`, new Uint8Array(1), signal);
    }
    await Array.fromAsync(store.list('k/', signal));

    expect(store.traffic.lists).toBe(2);
  });
});
