import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../src/kernel/command.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';

const MIB = 1024 * 1024;
const DISK_BYTES = 256 * MIB;
const CONTENT_BYTES = 24 * MIB;
const CLI = join(import.meta.dirname, '../../src/cli.ts');
const PASSPHRASE = 'a passphrase of the crash tests';
const { signal } = new AbortController();

/** Names of the files of a whole restore, in the order in which they are written. */
const names = (format: string): string[] => [
  `shop-system.${format}`,
  `shop-data.${format}`,
  'shop.json',
];

describe('A restore that is killed', () => {
  let folder: string;
  const hashes: string[] = [];

  const start = (words: readonly string[]) =>
    spawn(process.execPath, [CLI, 'rescue', ...words, '--vault', join(folder, 'vault')], {
      env: {
        PATH: process.env['PATH'],
        HOME: folder,
        TMPDIR: folder,
        XDG_CACHE_HOME: join(folder, 'cache'),
        HYPERKEEP_PASSPHRASE: PASSPHRASE,
      },
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });

  const run = async (words: readonly string[]): Promise<void> => {
    const child = start(words);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    const [code] = (await once(child, 'close')) as [number | null];
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
  };

  /** Runs a restore and kills it with -9 when the content of a file begins to arrive. */
  const dieWriting = async (to: string, file: string, words: readonly string[]): Promise<void> => {
    const child = start(words);
    let isWritten = false;
    const watcher = watch(to, (event, name) => {
      if (event === 'change' && name === file) {
        isWritten = true;
        child.kill('SIGKILL');
      }
    });
    const [, by] = (await once(child, 'close')) as [number | null, string | null];
    watcher.close();
    expect({ by, isWritten }).toEqual({ by: 'SIGKILL', isWritten: true });
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hk-restore-'));
    for (const name of ['system', 'data']) {
      await using file = await open(join(folder, `${name}.raw`), 'wx');
      await file.truncate(DISK_BYTES);
      await file.write(seededBytes(name, CONTENT_BYTES), 0, CONTENT_BYTES, 100 * MIB);
    }
    await run(['create', '--name', 'crash']);
    const images = ['system', 'data'].map((name) => join(folder, `${name}.raw`));
    await run(['import', ...images, '--disk-name', 'system', 'data', '--vm', 'shop']);
    for (const image of images) {
      hashes.push(
        createHash('sha256')
          .update(await readFile(image))
          .digest('hex'),
      );
    }
  });

  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  it.each([
    { format: 'raw', dying: 0 },
    { format: 'raw', dying: 1 },
    { format: 'qcow2', dying: 1 },
  ])(
    'at disk $dying of $format images leaves no name to believe, and the next run is whole',
    async ({ format, dying }) => {
      const to = join(folder, `${format}-${String(dying)}`);
      await mkdir(to);
      const words = ['restore', 'latest', '--vm', 'shop', '--to', to, '--format', format];
      await dieWriting(to, `${names(format)[dying] ?? ''}.part`, words);

      const left = await readdir(to);
      expect(left.toSorted()).toEqual(
        names(format)
          .slice(0, dying + 1)
          .map((name) => `${name}.part`)
          .toSorted(),
      );

      await run(words);

      expect((await readdir(to)).toSorted()).toEqual(names(format).toSorted());
      for (const [index, name] of names(format).slice(0, 2).entries()) {
        const copy = join(folder, 'copy.raw');
        await runCommand(
          'qemu-img',
          ['convert', '-f', format, '-O', 'raw', join(to, name), copy],
          signal,
        );
        const hash = createHash('sha256').update(await readFile(copy));
        expect({ name, hash: hash.digest('hex') }).toEqual({ name, hash: hashes[index] });
        await rm(copy);
      }
      const processes = await runCommand('pgrep', ['-fa', to], signal, { accept: [0, 1] });
      expect(processes.stdout).toBe('');
    },
  );
});
