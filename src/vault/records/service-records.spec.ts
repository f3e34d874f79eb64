import { SilentLog } from '../../kernel/log.ts';
import { MemoryObjectStore } from '../../../test/support/vault/memory-object-store.ts';
import { KeyTree } from '../keys/key-tree.ts';
import type { NewRecord } from './service-records.ts';
import { ServiceRecords } from './service-records.ts';

const { signal } = new AbortController();
const keys = new KeyTree(Buffer.alloc(32, 1), Buffer.alloc(16, 2));
const empty: NewRecord = { kind: 'decisions', atMs: 1, decisions: [] };

function lab(store = new MemoryObjectStore()) {
  return { store, records: new ServiceRecords({ store, keys }, new SilentLog()) };
}

async function sequences(records: ServiceRecords): Promise<string[]> {
  return (await records.read(signal)).map(({ name }) => `${name.service} ${String(name.number)}`);
}

describe('the records of services', () => {
  it('are numbered by each service for itself, and read in that order', async () => {
    const { records } = lab();
    for (const service of ['b', 'a', 'b']) {
      await records.put(service, empty, signal);
    }
    // Beyond six digits names do not sort as numbers do.
    await records.put('a', empty, signal, 999_999);
    await records.put('a', empty, signal);

    expect(await sequences(records)).toEqual(['a 1', 'a 1000000', 'a 1000001', 'b 1', 'b 2']);
  });

  it('leave out what nobody with the key wrote, and what is no record', async () => {
    const { store, records } = lab();
    const { key } = await records.put('a', empty, signal);
    await store.put(
      key.replace('cat/a', 'cat/b'),
      (await store.get(key, signal)) ?? Buffer.alloc(0),
      signal,
    );
    await store.put('cat/a/notes', Buffer.from('x'), signal);
    await store.put(`cat/a/000009-${'0'.repeat(32)}`, Buffer.from('x'), signal);

    expect(await sequences(records)).toEqual(['a 1']);
  });

  it('are read up to a limit, the newest of a service, whoever floods the place', async () => {
    const { store, records } = lab();
    for (let number = 0; number < 600; number++) {
      await records.put('a', empty, signal, number);
    }
    for (let number = 0; number < 300; number++) {
      const name = `cat/f${String(number).padStart(3, '0')}/000001-${'0'.repeat(32)}`;
      await store.put(name, Buffer.from('x'), signal);
    }
    const found = await records.read(signal);

    expect(found).toHaveLength(256);
    expect(found[0]?.name.number).toBe(345);
    expect(found.at(-1)?.name.number).toBe(600);
  });

  it('are listed again when one was replaced meanwhile', async () => {
    const { store, records } = lab();
    const first = await records.put('a', empty, signal);
    class Replacing extends MemoryObjectStore {
      replaced = false;
      override list = (prefix: string) => store.list(prefix, signal);
      override get = async (key: string) => {
        if (!this.replaced) {
          this.replaced = true;
          await records.put('a', empty, signal);
          await records.remove(first, signal);
        }
        return store.get(key, signal);
      };
    }

    expect(await sequences(lab(new Replacing()).records)).toEqual(['a 2']);
  });

  it('have no number left once somebody took the highest', async () => {
    const { records } = lab();
    await records.put('a', empty, signal, 999_999_999_998);

    await expect(records.put('a', empty, signal)).rejects.toMatchObject({
      code: 'vault.limit-reached',
    });
  });
});
