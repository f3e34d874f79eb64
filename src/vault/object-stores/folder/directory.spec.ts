import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeObjectStore } from '../../../../test/contract/object-store.contract.ts';
import { Clock } from '../../../kernel/clock.ts';
import { DirectoryObjectStore } from './directory.ts';
import { faultOfFileError } from './file-fault.ts';

const { signal } = new AbortController();
const DAY_MS = 24 * 60 * 60 * 1000;

const folders: string[] = [];

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hyperkeep-store-'));
  folders.push(folder);
  return folder;
}

afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })));
});

class StandingClock extends Clock {
  readonly #nowMs: number;

  constructor(nowMs: number) {
    super();
    this.#nowMs = nowMs;
  }

  override nowMs(): number {
    return this.#nowMs;
  }

  override monotonicMs(): number {
    return this.#nowMs;
  }
}

async function keysOf(store: DirectoryObjectStore): Promise<string[]> {
  return (await Array.fromAsync(store.list('', signal))).map(({ key }) => key);
}

describeObjectStore('DirectoryObjectStore', async () => {
  const store = new DirectoryObjectStore(join(await newFolder(), 'new', 'vault'));
  await store.makePlace(signal);
  return store;
});

describe('DirectoryObjectStore', () => {
  it('keeps objects to their owner', async () => {
    const folder = join(await newFolder(), 'vault');
    const store = new DirectoryObjectStore(folder);
    await store.makePlace(signal);
    await store.put('s/vm/1', Uint8Array.of(1), signal);

    for (const name of ['', 's', 's/vm', 'partial~']) {
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o700);
    }
    expect((await stat(join(folder, 's/vm/1'))).mode & 0o777).toBe(0o600);
  });

  it('leaves nothing aside when a put is done, or cancelled', async () => {
    const folder = await newFolder();
    const store = new DirectoryObjectStore(folder);
    await store.put('a', Uint8Array.of(1), signal);
    const cancel = new AbortController();
    const cut = store.put('b', new Uint8Array(64 * 1024 * 1024), cancel.signal);
    setImmediate(() => {
      cancel.abort();
    });

    await expect(cut).rejects.toMatchObject({ name: 'AbortError' });

    expect(await readdir(join(folder, 'partial~'))).toEqual([]);
    expect(await keysOf(store)).toEqual(['a']);
  });

  it('never lists what a dead process left aside, and removes it after a day', async () => {
    const folder = await newFolder();
    const aside = join(folder, 'partial~');
    await mkdir(aside);
    const nowMs = 1_700_000_000_000;
    for (const [name, ageMs] of [
      ['young', DAY_MS / 2],
      ['old', DAY_MS * 2],
    ] as const) {
      await writeFile(join(aside, name), 'part');
      await utimes(join(aside, name), (nowMs - ageMs) / 1000, (nowMs - ageMs) / 1000);
    }
    const store = new DirectoryObjectStore(folder, { clock: new StandingClock(nowMs) });
    expect(await keysOf(store)).toEqual([]);

    await store.put('a', Uint8Array.of(1), signal);

    expect(await readdir(aside)).toEqual(['young']);
    expect(await keysOf(store)).toEqual(['a']);
  });

  it('does not see what is no object of a vault', async () => {
    const folder = await newFolder();
    await writeFile(join(folder, 'lost file'), 'x');
    await writeFile(join(folder, 'a~'), 'x');
    await symlink('/etc/passwd', join(folder, 'link'));
    await mkdir(join(folder, 'lost+found'));
    await mkdir(join(folder, 'empty'));
    const store = new DirectoryObjectStore(folder);

    expect(await keysOf(store)).toEqual([]);
    expect(await store.get('empty', signal)).toBeUndefined();
  });

  it('makes folders of the vault again when somebody removed them', async () => {
    const folder = await newFolder();
    const store = new DirectoryObjectStore(folder);
    await store.put('s/vm/1', Uint8Array.of(1), signal);
    await rm(join(folder, 's'), { recursive: true });

    await expect(store.put('s/vm/2', Uint8Array.of(1), signal)).rejects.toMatchObject({
      code: 'store.unreachable',
    });
    await store.put('s/vm/2', Uint8Array.of(1), signal);

    expect(await keysOf(store)).toEqual(['s/vm/2']);
  });

  it('never makes the folder of a vault unless it is asked to', async () => {
    const folder = join(await newFolder(), 'mount', 'vault');
    const store = new DirectoryObjectStore(folder);

    expect(await keysOf(store)).toEqual([]);
    expect(await store.get('fmt/1', signal)).toBeUndefined();
    await expect(store.put('fmt/1', Uint8Array.of(1), signal)).rejects.toMatchObject({
      code: 'vault.not-found',
    });
    await expect(stat(folder)).rejects.toMatchObject({ code: 'ENOENT' });

    await store.makePlace(signal);
    await store.put('fmt/1', Uint8Array.of(1), signal);
    expect(await keysOf(store)).toEqual(['fmt/1']);
  });

  it.each(['is gone', 'is an empty folder, as a mount point is'])(
    'believes nothing and writes nothing when its folder %s',
    async (title) => {
      const folder = join(await newFolder(), 'vault');
      const store = new DirectoryObjectStore(folder);
      await store.makePlace(signal);
      await store.put('fmt/1', Uint8Array.of(1), signal);
      await store.put('s/vm/1', Uint8Array.of(1), signal);
      await rename(folder, `${folder}.away`);
      const isEmpty = title !== 'is gone';
      if (isEmpty) {
        await mkdir(folder);
      }

      for (const attempt of [
        () => store.put('s/vm/2', Uint8Array.of(1), signal),
        () => store.get('s/vm/1', signal),
        () => store.getRange('s/vm/1', { suffix: 1 }, signal),
        () => store.remove('s/vm/1', signal),
        () => keysOf(store),
        () => store.makePlace(signal),
      ]) {
        await expect(attempt()).rejects.toMatchObject({ code: 'vault.not-found' });
        expect(store.isOutdated()).toBe(true);
      }
      if (isEmpty) {
        expect(await readdir(folder)).toEqual([]);
        await rm(folder, { recursive: true });
      }
      await expect(stat(folder)).rejects.toMatchObject({ code: 'ENOENT' });

      await rename(`${folder}.away`, folder);
      expect(await keysOf(store)).toEqual(['fmt/1', 's/vm/1']);
      expect(store.isOutdated()).toBe(false);
      await store.put('s/vm/2', Uint8Array.of(1), signal);
    },
  );

  it('notices in the middle of a list that its folder went away', async () => {
    const folder = join(await newFolder(), 'vault');
    const store = new DirectoryObjectStore(folder);
    await store.makePlace(signal);
    for (const key of ['a/1', 'b/1', 'c/1']) {
      await store.put(key, Uint8Array.of(1), signal);
    }
    const keys: string[] = [];
    const listing = async (): Promise<void> => {
      for await (const { key } of store.list('', signal)) {
        keys.push(key);
        await rm(folder, { recursive: true, force: true });
      }
    };

    await expect(listing()).rejects.toMatchObject({ code: 'vault.not-found' });
    expect(keys).toEqual(['a/1']);
  });

  it('goes on in a folder with another number that has the format of a vault', async () => {
    const folder = join(await newFolder(), 'vault');
    const store = new DirectoryObjectStore(folder);
    await store.makePlace(signal);
    await store.put('fmt/1', Uint8Array.of(1), signal);
    await cp(folder, `${folder}.copy`, { recursive: true });
    await rename(folder, `${folder}.away`);
    await rename(`${folder}.copy`, folder);

    await store.put('s/vm/1', Uint8Array.of(1), signal);

    expect(await keysOf(store)).toEqual(['fmt/1', 's/vm/1']);
  });

  it('reads no file of 3 GiB, and any part of it', async () => {
    const folder = await newFolder();
    const store = new DirectoryObjectStore(folder);
    await store.put('s/vm/1', Uint8Array.of(1), signal);
    await truncate(join(folder, 's/vm/1'), 3 * 2 ** 30);

    await expect(store.get('s/vm/1', signal)).rejects.toMatchObject({
      code: 'vault.point-corrupt',
    });
    const part = await store.getRange('s/vm/1', { suffix: 10 }, signal);
    expect(part).toMatchObject({ objectSize: 3 * 2 ** 30, data: Buffer.alloc(10) });
  });

  it('says so when a file is where a folder belongs', async () => {
    const folder = await newFolder();
    await writeFile(join(folder, 's'), '');

    await expect(
      new DirectoryObjectStore(folder).put('s/vm/1', Uint8Array.of(1), signal),
    ).rejects.toMatchObject({ code: 'store.refused' });
  });

  it('names what a system error means', async () => {
    const codeOf = (code: string): unknown =>
      (faultOfFileError(Object.assign(new Error(code), { code }), '/vault') as { code: unknown })
        .code;

    expect(['ENOSPC', 'EDQUOT'].map(codeOf)).toEqual(['store.full', 'store.full']);
    expect(['EACCES', 'EROFS'].map(codeOf)).toEqual(['store.denied', 'store.denied']);
    expect(['EIO', 'ESTALE'].map(codeOf)).toEqual(['store.unreachable', 'store.unreachable']);
    const bug = new TypeError('bug');
    expect(faultOfFileError(bug, '/vault')).toBe(bug);
  });

  // Root reads and writes everything.
  (process.getuid?.() === 0 ? it.skip : it)('says so when the folder is not ours', async () => {
    const folder = await newFolder();
    await chmod(folder, 0o500);

    await expect(
      new DirectoryObjectStore(folder).put('a', Uint8Array.of(1), signal),
    ).rejects.toMatchObject({ code: 'store.denied' });
  });
});

it('says at once when no folder can be made at its place', async () => {
  const store = new DirectoryObjectStore('/proc/x/vault');

  await expect(store.makePlace(signal)).rejects.toMatchObject({ code: 'store.invalid-location' });
});
