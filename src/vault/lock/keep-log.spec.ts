import { encodeControl } from '../control/control-object.ts';
import { KeyTree } from '../keys/key-tree.ts';
import { numberedKey, PREFIXES } from '../format/object-names.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { KeepLog } from './keep-log.ts';

const { signal } = new AbortController();
const keys = new KeyTree(new Uint8Array(32).fill(1), new Uint8Array(16).fill(2));

describe('the log of the keeper', () => {
  it('tells the latest time of those that can be read', async () => {
    const store = new MemoryObjectStore();
    await new KeepLog(store, keys).write(1000, signal);
    for (const [number, body] of ['"doneMs":2000}', '{"doneMs":-1}', ''].entries()) {
      const key = numberedKey(PREFIXES.kept, 10 + number);
      await store.put(key, encodeControl(keys, 'kept', key, Buffer.from(body)), signal);
    }

    expect(await new KeepLog(store, keys).doneMs(signal)).toBe(1000);
  });
});
