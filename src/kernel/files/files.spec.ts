import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isFault, systemCode, type FaultCode } from '../fault.ts';
import {
  mkdir as makeFolder,
  open,
  openSync,
  readdir,
  readFile,
  rename,
  rm as remove,
} from './files.ts';
import { systemFault } from './system-fault.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-files-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function faultOf(run: Promise<unknown>): Promise<{ code: FaultCode; system?: string }> {
  const error: unknown = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isFault(error)) {
    throw new Error('no fault came', { cause: error });
  }
  expect(error.message).toContain(folder);
  const system = systemCode(error);
  return { code: error.code, ...(system === undefined ? {} : { system }) };
}

describe('files', () => {
  it('say as faults what the system refuses', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    await mkdir(join(folder, 'full', 'inner'), { recursive: true });
    await symlink('circle', join(folder, 'circle'));
    const missing = { code: 'file.missing', system: 'ENOENT' };
    expect(await faultOf(readFile(join(folder, 'none')))).toEqual(missing);
    expect(await faultOf(rename(join(folder, 'none'), file))).toEqual(missing);
    expect(await faultOf(readdir(file))).toEqual({ code: 'file.unfit', system: 'ENOTDIR' });
    expect(await faultOf(makeFolder(file))).toEqual({ code: 'file.exists', system: 'EEXIST' });
    const isFolder = { code: 'file.unfit', system: 'EISDIR' };
    expect(await faultOf(readFile(join(folder, 'full')))).toEqual(isFolder);
    const loop = { code: 'file.unfit', system: 'ELOOP' };
    expect(await faultOf(readFile(join(folder, 'circle')))).toEqual(loop);
    const long = { code: 'file.unfit', system: 'ENAMETOOLONG' };
    expect(await faultOf(readFile(join(folder, 'x'.repeat(300))))).toEqual(long);
    const removed = { code: 'file.unfit', system: 'ERR_FS_EISDIR' };
    expect(await faultOf(remove(join(folder, 'full')))).toEqual(removed);
  });

  it('name the file also when an open one is refused', async () => {
    await using handle = await open(folder, 'r');
    const fault = await faultOf(handle.read(Buffer.alloc(1), 0, 1, 0));
    expect(fault).toEqual({ code: 'file.unfit', system: 'EISDIR' });
  });

  it('do so too where a thread waits for them', () => {
    expect(() => openSync(join(folder, 'none'), 'r')).toThrow(/^There is no .*none[.] .*ENOENT/);
  });

  it('leave alone what is no error of the system', async () => {
    const stopped = readFile(join(folder, 'none'), { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
    const bug = new TypeError('a bug');
    expect(systemFault(bug)).toBe(bug);
  });

  it.each([
    ['ENOSPC', 'host.disk-full'],
    ['EDQUOT', 'host.disk-full'],
    ['EMFILE', 'host.limit-reached'],
    ['EROFS', 'file.denied'],
    ['EACCES', 'file.denied'],
    ['EBUSY', 'file.busy'],
    ['EIO', 'file.failed'],
    ['ESTALE', 'file.failed'],
  ])('%s is %s', (system, code) => {
    const error = Object.assign(new Error(system), { code: system, syscall: 'write' });
    expect(systemFault(error, '/x')).toMatchObject({ code, system, context: { path: '/x' } });
  });
});
