import { createHash } from 'node:crypto';
import { objectBytesMax } from '../../src/vault/format/object-limit.ts';
import type { ObjectEntry, ObjectStore } from '../../src/vault/store/object-store.ts';

const signal = new AbortController().signal;

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

async function all(entries: AsyncIterable<ObjectEntry>): Promise<ObjectEntry[]> {
  return Array.fromAsync(entries);
}

async function keys(store: ObjectStore, prefix: string): Promise<string[]> {
  return (await all(store.list(prefix, signal))).map(({ key }) => key);
}

/**
 * What every ObjectStore must do. Each implementation's spec calls this with its own factory.
 *
 * @param open makes an empty store; the suite closes it
 */
export function describeObjectStore(name: string, open: () => Promise<ObjectStore>): void {
  describe(`${name} is an ObjectStore`, () => {
    const opened: ObjectStore[] = [];

    async function openStore(): Promise<ObjectStore> {
      const store = await open();
      opened.push(store);
      return store;
    }

    afterEach(async () => {
      await Promise.all(opened.splice(0).map((store) => store.close()));
    });

    it('gives back exactly what was put, empty objects and large ones too', async () => {
      const store = await openStore();
      const large = new Uint8Array(5 * 1024 * 1024 + 7).map((_, index) => (index * 31) >>> 3);
      await store.put('d/202601/large', large, signal);
      await store.put('empty', new Uint8Array(0), signal);

      const back = await store.get('d/202601/large', signal);

      expect(back?.length).toBe(large.length);
      expect(Buffer.from(back ?? []).equals(large)).toBe(true);
      expect(await store.get('empty', signal)).toHaveLength(0);
    });

    it('answers undefined for an object that is not there', async () => {
      const store = await openStore();
      await store.put('a/b', text('x'), signal);

      for (const key of ['nothing', 'a', 'a/c', 'a/b/c']) {
        expect(await store.get(key, signal)).toBeUndefined();
        expect(await store.getRange(key, { offset: 0, length: 1 }, signal)).toBeUndefined();
        expect(await store.getRange(key, { offset: 0, length: 0 }, signal)).toBeUndefined();
        expect(await store.getRange(key, { suffix: 64 }, signal)).toBeUndefined();
      }
    });

    it('takes the same object twice', async () => {
      const store = await openStore();
      await store.put('s/vm/1', text('same'), signal);
      await store.put('s/vm/1', text('same'), signal);

      expect(await keys(store, '')).toEqual(['s/vm/1']);
      expect(await store.get('s/vm/1', signal)).toEqual(text('same'));
    });

    it('keeps what was put when the caller uses its buffer again', async () => {
      const store = await openStore();
      const buffer = text('first');
      await store.put('kept', buffer, signal);
      buffer.fill(0);

      expect(await store.get('kept', signal)).toEqual(text('first'));
    });

    it('reads no object that is larger than any of its kind, and lists it with all others', async () => {
      const store = await openStore();
      const id = '01J00000000000000000000000';
      await store.put(`s/vm/${id}`, new Uint8Array(objectBytesMax('s/vm/x') + 1), signal);
      await store.put(`s/vn/${id}`, new Uint8Array(objectBytesMax('s/vn/x')), signal);
      await store.put(`s/vm/${id}.ok`, text('seal'), signal);

      await expect(store.get(`s/vm/${id}`, signal)).rejects.toMatchObject({
        code: 'vault.point-corrupt',
      });
      expect(await store.get(`s/vn/${id}`, signal)).toHaveLength(objectBytesMax('s/vn/x'));
      expect(await keys(store, '')).toEqual([`s/vm/${id}`, `s/vm/${id}.ok`, `s/vn/${id}`]);
      expect((await store.getRange(`s/vm/${id}`, { suffix: 1 }, signal))?.data).toHaveLength(1);
    });

    it('puts a view into a larger buffer without the rest of it', async () => {
      const store = await openStore();
      const shared = new Uint8Array(new SharedArrayBuffer(64)).fill(7);
      await store.put('view', shared.subarray(8, 16), signal);

      expect(await store.get('view', signal)).toEqual(new Uint8Array(8).fill(7));
    });

    it('reads any part', async () => {
      const store = await openStore();
      await store.put('p', text('0123456789'), signal);
      const part = async (range: Parameters<ObjectStore['getRange']>[1]) => {
        const answer = await store.getRange('p', range, signal);
        expect(answer?.objectSize).toBe(10);
        return new TextDecoder().decode(answer?.data);
      };

      expect(await part({ offset: 0, length: 10 })).toBe('0123456789');
      expect(await part({ offset: 3, length: 4 })).toBe('3456');
      expect(await part({ offset: 8, length: 100 })).toBe('89');
      expect(await part({ offset: 10, length: 1 })).toBe('');
      expect(await part({ offset: 11, length: 5 })).toBe('');
      expect(await part({ offset: 4, length: 0 })).toBe('');
      expect(await part({ suffix: 3 })).toBe('789');
      expect(await part({ suffix: 10 })).toBe('0123456789');
      expect(await part({ suffix: 64 * 1024 })).toBe('0123456789');
      expect(await part({ suffix: 0 })).toBe('');
    });

    it.each([
      { suffix: -3 },
      { suffix: 1.5 },
      { offset: -1, length: 3 },
      { offset: 3, length: -1 },
      { offset: 0, length: Infinity },
      { offset: NaN, length: 1 },
    ])('takes %j for a bug of its caller', async (range) => {
      const store = await openStore();
      await store.put('p', text('0123456789'), signal);

      await expect(store.getRange('p', range, signal)).rejects.toThrow('not a range');
    });

    it('reads parts of an empty object', async () => {
      const store = await openStore();
      await store.put('nil', new Uint8Array(0), signal);

      for (const range of [{ offset: 0, length: 5 }, { suffix: 5 }]) {
        const part = await store.getRange('nil', range, signal);
        expect(part?.objectSize).toBe(0);
        expect(part?.data).toHaveLength(0);
      }
    });

    it('lists by prefix, with sizes, in ascending order of bytes', async () => {
      const store = await openStore();
      // `-` and `.` sort before `/`, digits and letters behind it; a prefix may end inside a part.
      const names = ['s/b.ok', 's/b/2', 's/b/10', 's/b-', 's/B', 's/b0', 'd/x', 's/b/2.ok', 'sa'];
      for (const name of names) {
        await store.put(name, text(name), signal);
      }

      expect(await keys(store, '')).toEqual([...names].sort());
      expect(await keys(store, 's/')).toEqual(names.filter((n) => n.startsWith('s/')).sort());
      expect(await keys(store, 's/b')).toEqual(names.filter((n) => n.startsWith('s/b')).sort());
      expect(await keys(store, 's/b/2')).toEqual(['s/b/2', 's/b/2.ok']);
      expect(await keys(store, 's/b/')).toEqual(['s/b/10', 's/b/2', 's/b/2.ok']);
      expect(await keys(store, 'nothing/')).toEqual([]);
      expect(await keys(store, 's/B/')).toEqual([]);
      expect((await all(store.list('s/b/2.', signal)))[0]).toMatchObject({
        key: 's/b/2.ok',
        size: 8,
      });
    });

    it('lists more objects than one answer of a server holds', async () => {
      const store = await openStore();
      const names = Array.from(
        { length: 1234 },
        (_, index) => `gc/${index.toString().padStart(5, '0')}`,
      );
      for (let start = 0; start < names.length; start += 16) {
        await Promise.all(
          names.slice(start, start + 16).map((name) => store.put(name, text('.'), signal)),
        );
      }

      expect(await keys(store, 'gc/')).toEqual(names);
    });

    it('can be left in the middle of a list', async () => {
      const store = await openStore();
      await store.put('a', text('1'), signal);
      await store.put('b', text('2'), signal);
      for await (const { key } of store.list('', signal)) {
        expect(key).toBe('a');
        break;
      }

      expect(await keys(store, '')).toEqual(['a', 'b']);
    });

    it('shows an object to every list and get that starts after its put, and to none after its removal', async () => {
      const store = await openStore();
      for (let round = 0; round < 20; round += 1) {
        const key = `retire/vm/${String(round)}`;
        await store.put(key, text(key), signal);
        expect(await keys(store, key)).toEqual([key]);
        await store.remove(key, signal);
        expect(await store.get(key, signal)).toBeUndefined();
        expect(await keys(store, key)).toEqual([]);
      }
    });

    it('removes what is not there', async () => {
      const store = await openStore();
      await store.put('a/b', text('stays'), signal);

      await store.remove('nothing', signal);
      await store.remove('a/c', signal);
      await store.remove('a/b/c', signal);

      expect(await keys(store, '')).toEqual(['a/b']);
    });

    it('never shows part of an object', async () => {
      const store = await openStore();
      const whole = new Uint8Array(3 * 1024 * 1024).fill(9);
      const writing = { done: false };
      const writer = store.put('big', whole, signal).finally(() => {
        writing.done = true;
      });
      const sizes = new Set<number | undefined>();
      while (!writing.done) {
        sizes.add((await store.get('big', signal))?.length);
        for (const { size } of await all(store.list('', signal))) {
          sizes.add(size);
        }
      }
      await writer;
      sizes.delete(undefined);
      sizes.delete(whole.length);

      expect([...sizes]).toEqual([]);
    });

    it('serves many requests at once', async () => {
      const store = await openStore();
      const names = Array.from({ length: 64 }, (_, index) => `many/${String(index + 100)}`);
      await Promise.all(names.map((name) => store.put(name, text(name), signal)));

      const back = await Promise.all(
        names.map((name) => store.getRange(name, { suffix: 3 }, signal)),
      );

      expect(back.map((part) => new TextDecoder().decode(part?.data))).toEqual(
        names.map((name) => name.slice(-3)),
      );
    });

    it('takes data with its right hash', async () => {
      const store = await openStore();
      const data = text('hashed');
      const sha256 = createHash('sha256').update(data).digest();
      await store.put('hashed', data, signal, { sha256 });

      expect(await store.get('hashed', signal)).toEqual(data);
    });

    it('refuses every name that could leave the vault', async () => {
      const store = await openStore();
      const wrong = ['', '/', '/etc/x', '../x', 'a/../b', 'a/./b', 'a//b', 'a/', '.', '..'];
      wrong.push('a b', 'a\\b', 'a\0b', 'ä', 'a~', 'x'.repeat(256), 'x/'.repeat(300) + 'x');
      for (const key of wrong) {
        await expect(store.put(key, text('x'), signal)).rejects.toThrow('not an object key');
        await expect(store.get(key, signal)).rejects.toThrow('not an object key');
        await expect(store.getRange(key, { suffix: 1 }, signal)).rejects.toThrow();
        await expect(store.remove(key, signal)).rejects.toThrow('not an object key');
      }
      for (const prefix of ['/', '../', 'a/../', 'a//', 'a b', '*']) {
        await expect(all(store.list(prefix, signal))).rejects.toThrow('not a prefix');
      }
      expect(await keys(store, '')).toEqual([]);
    });

    it('does nothing once its signal has fired', async () => {
      const store = await openStore();
      const fired = AbortSignal.abort();
      await store.put('there', text('x'), signal);

      const attempts = [
        store.put('other', text('x'), fired),
        store.get('there', fired),
        store.getRange('there', { suffix: 1 }, fired),
        store.remove('there', fired),
        all(store.list('', fired)),
      ];

      for (const attempt of attempts) {
        await expect(attempt).rejects.toMatchObject({ name: 'AbortError' });
      }
      expect(await keys(store, '')).toEqual(['there']);
    });
  });
}
