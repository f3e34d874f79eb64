import { createHash } from 'node:crypto';
import { createReadStream, watch } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { runCommand } from '../../../src/kernel/command.ts';
import { cliRun, type CliRun } from '../../support/service/cli-run.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';

export const MIB = 1024 * 1024;
const COMMAND_TIMEOUT_MS = 100_000;
export const PASSPHRASE = 'correct horse battery staple';

/** A folder with images and a vault, and a user who types commands in it. */
export class RescueLab implements AsyncDisposable {
  readonly folder: string;
  private sockets = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<RescueLab> {
    return new RescueLab(await mkdtemp(join(tmpdir(), 'hyperkeep-rescue-')));
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** Runs `hyperkeep rescue ...` with the passphrase in the settings. */
  async rescue(
    words: readonly string[],
    passphrase: string | undefined = PASSPHRASE,
  ): Promise<CliRun> {
    const { folder } = this;
    const signal = AbortSignal.timeout(COMMAND_TIMEOUT_MS);
    return await cliRun(['rescue', ...words], {
      folder,
      signal,
      ...(passphrase === '' ? {} : { passphrase }),
    });
  }

  /** The same, stopped as with Ctrl-C when the first file of a data pack appears in `vault`. */
  async rescueStopped(vault: string, words: readonly string[]): Promise<CliRun> {
    const stop = new AbortController();
    const watching = watch(join(vault, 'd'), { recursive: true }, () => {
      stop.abort();
    });
    try {
      return await cliRun(['rescue', ...words], {
        folder: this.folder,
        passphrase: PASSPHRASE,
        signal: stop.signal,
      });
    } finally {
      watching.close();
    }
  }

  /**
   * Runs `rescue export --json` while `work` reads from its socket, then ends it as with Ctrl-C.
   * @returns its document
   */
  async exported<Document>(
    words: readonly string[],
    work: (socketPath: string) => Promise<void>,
  ): Promise<Document> {
    const stop = new AbortController();
    this.sockets += 1;
    const socketPath = this.path(`${String(this.sockets)}.sock`);
    const serving = Promise.withResolvers<undefined>();
    const watching = watch(this.folder, (_event, name) => {
      if (name === basename(socketPath)) {
        serving.resolve(undefined);
      }
    });
    const run = cliRun(['rescue', 'export', ...words, '--socket', socketPath, '--json'], {
      folder: this.folder,
      passphrase: PASSPHRASE,
      signal: AbortSignal.any([stop.signal, AbortSignal.timeout(COMMAND_TIMEOUT_MS)]),
    });
    try {
      await Promise.race([serving.promise, run]);
      await work(socketPath);
    } finally {
      watching.close();
      stop.abort();
    }
    const { exitCode, stdout, stderr } = await run;
    if (exitCode !== 0) {
      throw new Error(`rescue export ended with ${String(exitCode)}: ${stderr}`);
    }
    return JSON.parse(stdout) as Document;
  }

  /** The same with `--json`; fails with what was said unless it exits with 0. */
  async document<Document>(words: readonly string[]): Promise<Document> {
    const run = await this.rescue([...words, '--json']);
    if (run.exitCode !== 0) {
      throw new Error(
        `rescue ${words.join(' ')} ended with ${String(run.exitCode)}: ${run.stderr}`,
      );
    }
    return JSON.parse(run.stdout) as Document;
  }

  /** Writes seeded bytes into a raw image; the image is made, sparse, if it is not there. */
  async write(
    name: string,
    sizeBytes: number,
    parts: readonly { readonly offset: number; readonly length: number; readonly seed: string }[],
  ): Promise<string> {
    const path = this.path(name);
    await using handle = await open(path, 'a').then(async (made) => {
      await made.close();
      return await open(path, 'r+');
    });
    await handle.truncate(sizeBytes);
    for (const { offset, length, seed } of parts) {
      await handle.write(seededBytes(seed, length), 0, length, offset);
    }
    return path;
  }

  async qemuImg(words: readonly string[]): Promise<string> {
    return (await runCommand('qemu-img', words, AbortSignal.timeout(COMMAND_TIMEOUT_MS))).stdout;
  }

  /** Hash of what a guest would read from the image. */
  async contentHash(path: string, format: 'raw' | 'qcow2'): Promise<string> {
    if (format === 'raw') {
      return await fileHash(path);
    }
    const raw = `${path}.as-raw`;
    await this.qemuImg(['convert', '-f', format, '-O', 'raw', path, raw]);
    const hash = await fileHash(raw);
    await rm(raw);
    return hash;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function fileHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) {
    hash.update(piece as Buffer);
  }
  return hash.digest('hex');
}
