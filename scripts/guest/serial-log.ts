import { watch } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** TCG on a loaded machine; the guest itself needs about 3 s. */
const PATIENCE_MS = 240_000;
/** So much of the log's end is part of an error. */
const TAIL_CHARACTERS = 1000;

/** A line of the writer's journal that the guest has reported as written and synced. */
export interface JournalLine {
  /** 0 before the first. */
  readonly lines: number;
  readonly chain: string;
}

/** What the guest says on its serial port, as the file that QEMU's output goes to. */
export class SerialLog {
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Everything that is kept: a log that was rolled over has its older half in `.1`. */
  async text(): Promise<string> {
    const [older, newer] = await Promise.all(
      [`${this.path}.1`, this.path].map((path) => readFile(path, 'latin1').catch(() => '')),
    );
    return `${older ?? ''}${newer ?? ''}`.replaceAll('\r', '');
  }

  /** Waits until the log matches. */
  async waitFor(pattern: RegExp, signal?: AbortSignal): Promise<RegExpExecArray> {
    return this.until(String(pattern), (text) => pattern.exec(text) ?? undefined, signal);
  }

  /** Waits for the marker of a finished boot; `boot` counts the boots of this system disk. */
  async waitForReady(signal?: AbortSignal): Promise<{ boot: number; id: string; upS: number }> {
    const [, boot, id = '', up] = await this.waitFor(
      /GUEST-READY boot=(\d+) id=(\S+) up=([\d.]+)\n/,
      signal,
    );
    return { boot: Number(boot), id, upS: Number(up) };
  }

  /** The newest line of the journal. */
  async lastJournalLine(): Promise<JournalLine> {
    return newestLine(await this.text()) ?? { lines: 0, chain: 'start' };
  }

  /** Waits until the writer has reported line `lines` or a later one; returns the newest. */
  async waitForJournal(lines: number, signal?: AbortSignal): Promise<JournalLine> {
    const isThere = (text: string): JournalLine | undefined => {
      const newest = newestLine(text);
      return newest !== undefined && newest.lines >= lines ? newest : undefined;
    };
    return this.until(`journal line ${lines}`, isThere, signal);
  }

  /** Looks again whenever the file changes. */
  private async until<T>(
    what: string,
    find: (text: string) => T | undefined,
    signal: AbortSignal = AbortSignal.timeout(PATIENCE_MS),
  ): Promise<T> {
    await mkdir(dirname(this.path), { recursive: true });
    const isAborted = (): boolean => signal.aborted;
    let wake = Promise.withResolvers<undefined>();
    const look = (): void => {
      wake.resolve(undefined);
    };
    const watcher = watch(dirname(this.path), (_event, file) => {
      if (file === null || file.startsWith(basename(this.path))) {
        look();
      }
    });
    signal.addEventListener('abort', look);
    try {
      for (;;) {
        wake = Promise.withResolvers();
        const text = await this.text();
        const found = find(text);
        if (found !== undefined) {
          return found;
        }
        if (isAborted()) {
          const end = text.slice(-TAIL_CHARACTERS);
          throw new Error(`No ${what} on the serial port; it ends:\n${end}`, {
            cause: signal.reason,
          });
        }
        await wake.promise;
      }
    } finally {
      signal.removeEventListener('abort', look);
      watcher.close();
    }
  }
}

function newestLine(text: string): JournalLine | undefined {
  const [, lines, chain] = [...text.matchAll(/JOURNAL (\d+) ([0-9a-f]{64})\n/g)].at(-1) ?? [];
  return lines === undefined || chain === undefined ? undefined : { lines: Number(lines), chain };
}
