import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A line of the writer's journal that the guest has reported as written and flushed. */
export interface JournalLine {
  readonly lines: number;
  readonly chain: string;
}

/** What the test guest says on its serial port, which QEMU writes to a file. */
export class GuestLog {
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Returns when the guest has said that it is up, with the boot's number. */
  async ready(signal: AbortSignal): Promise<number> {
    return this.until((text) => {
      const boot = /GUEST-READY boot=(\d+)/.exec(text)?.[1];
      return boot === undefined ? undefined : Number(boot);
    }, signal);
  }

  /** Returns when the writer has written line `lines` or a later one, with the newest. */
  async written(lines: number, signal: AbortSignal): Promise<JournalLine> {
    return this.until((text) => {
      const newest = newestLine(text);
      return newest !== undefined && newest.lines >= lines ? newest : undefined;
    }, signal);
  }

  private async until<T>(find: (text: string) => T | undefined, signal: AbortSignal): Promise<T> {
    using watcher = watchFolder(dirname(this.path));
    for (;;) {
      const found = find(await readFile(this.path, 'latin1').catch(() => ''));
      if (found !== undefined) {
        return found;
      }
      await watcher.changed(signal);
    }
  }
}

function newestLine(text: string): JournalLine | undefined {
  const matches = [...text.matchAll(/^JOURNAL (\d+) ([0-9a-f]{64})\r?$/gm)];
  const [, lines, chain] = matches.at(-1) ?? [];
  return lines === undefined || chain === undefined ? undefined : { lines: Number(lines), chain };
}

interface FolderWatcher extends Disposable {
  changed(signal: AbortSignal): Promise<void>;
}

function watchFolder(folder: string): FolderWatcher {
  let isChanged = false;
  let wake = (): void => undefined;
  const watcher = watch(folder, () => {
    isChanged = true;
    wake();
  });
  return {
    async changed(signal) {
      signal.throwIfAborted();
      const aborted = Promise.withResolvers<undefined>();
      const stop = (): void => {
        aborted.reject(signal.reason as Error);
      };
      signal.addEventListener('abort', stop, { once: true });
      try {
        if (!isChanged) {
          await Promise.race([
            new Promise<void>((resolve) => {
              wake = resolve;
            }),
            aborted.promise,
          ]);
        }
      } finally {
        signal.removeEventListener('abort', stop);
      }
      isChanged = false;
    },
    [Symbol.dispose]: () => {
      watcher.close();
    },
  };
}
