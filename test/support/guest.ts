import { randomBytes, randomUUID } from 'node:crypto';
import { watch } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ensureTestGuest, makeDataDisk, makeSystemDisk } from '../../scripts/guest/image.ts';
import { VmDefinition } from '../../src/vm/definition.ts';
import { makeUefiParts } from './uefi-guest.ts';

export { checkJournal } from '../../scripts/guest/check-journal.ts';

const GIB = 1024 ** 3;
/** TCG on a loaded machine; the guest itself needs about 3 s. */
const PATIENCE_MS = 90_000;

export interface GuestVmOptions {
  readonly name?: string;
  /** Size of the data disk. Default 1 GiB, sparse. */
  readonly dataBytes?: number;
  /** Format of both disks. Default qcow2. */
  readonly format?: 'raw' | 'qcow2';
  /** Start the writer at boot with this pause between lines. Default: not at boot. */
  readonly writerPauseMs?: number;
  /** Boot from a disk of its own by UEFI, with a variable store. Default: the kernel directly. */
  readonly uefi?: boolean;
}

/**
 * Makes the two disks of a test guest in `folder` (system: 512 MiB, data: empty ext4) and returns
 * its definition, ready for `engine.add`.
 */
export async function makeGuestVm(
  folder: string,
  options: GuestVmOptions = {},
): Promise<VmDefinition> {
  const { name = 'guest', dataBytes = GIB, format = 'qcow2', writerPauseMs } = options;
  const guest = await ensureTestGuest();
  await mkdir(folder, { recursive: true });
  const systemPath = join(folder, `${name}-system.${format}`);
  const dataPath = join(folder, `${name}-data.${format}`);
  await makeSystemDisk(guest, systemPath);
  await makeDataDisk(dataPath, dataBytes);
  const tail = randomBytes(3).toString('hex').match(/../g) ?? [];
  const writer = writerPauseMs === undefined ? '' : ` hk.writer=${writerPauseMs}`;
  const commandLine = `${guest.commandLine}${writer}`;
  const uefi =
    options.uefi === true ? await makeUefiParts(guest, { folder, name, commandLine }) : undefined;
  const { kernelPath, initrdPath } = guest;
  return VmDefinition.parse({
    id: randomUUID(),
    name,
    memoryMib: 256,
    firmware: uefi?.firmware ?? { kind: 'kernel', kernelPath, initrdPath, commandLine },
    disks: [
      ...(uefi === undefined ? [] : [uefi.disk]),
      disk('system', systemPath, format, guest.systemSizeBytes),
      disk('data', dataPath, format, dataBytes),
    ],
    nics: [{ mac: ['52:54:00', ...tail].join(':'), network: 'none' }],
  });
}

function disk(name: string, path: string, format: string, sizeBytes: number): object {
  return { id: randomUUID(), name, path, format, sizeBytes };
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
      [`${this.path}.1`, this.path].map((path) => readFile(path, 'utf8').catch(() => '')),
    );
    return `${older ?? ''}${newer ?? ''}`.replaceAll('\r', '');
  }

  /** Waits until the log matches; looks again whenever the file changes. */
  async waitFor(pattern: RegExp, timeoutMs = PATIENCE_MS): Promise<RegExpExecArray> {
    await mkdir(dirname(this.path), { recursive: true });
    let wake: () => void = () => undefined;
    let changed = false;
    const watcher = watch(dirname(this.path), (_event, file) => {
      if (file === null || file.startsWith(basename(this.path))) {
        changed = true;
        wake();
      }
    });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      wake();
    }, timeoutMs);
    try {
      for (;;) {
        changed = false;
        const text = await this.text();
        const match = pattern.exec(text);
        if (match !== null) {
          return match;
        }
        if (isLate as boolean) {
          const end = text.slice(-1000);
          throw new Error(
            `no ${String(pattern)} on the serial port in ${timeoutMs} ms; it ends:\n${end}`,
          );
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (changed) {
            resolve();
          }
        });
      }
    } finally {
      clearTimeout(timer);
      watcher.close();
    }
  }

  /** Waits for the marker of a finished boot; `boot` counts the boots of this system disk. */
  async waitForReady(timeoutMs = PATIENCE_MS): Promise<{ boot: number; id: string; upS: number }> {
    const [, boot, id = '', up] = await this.waitFor(
      /GUEST-READY boot=(\d+) id=(\S+) up=([\d.]+)\n/,
      timeoutMs,
    );
    return { boot: Number(boot), id, upS: Number(up) };
  }

  /** The last journal line that the guest reported as written and synced; lines 0 before the first. */
  async lastJournalLine(): Promise<{ lines: number; chain: string }> {
    const reported = [...(await this.text()).matchAll(/JOURNAL (\d+) ([0-9a-f]{64})\n/g)].at(-1);
    return { lines: Number(reported?.[1] ?? 0), chain: reported?.[2] ?? 'start' };
  }

  /** Waits until the writer has reported line `lines` or a later one. */
  async waitForJournal(lines: number, timeoutMs = PATIENCE_MS): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    let { lines: seen } = await this.lastJournalLine();
    while (seen < lines) {
      await this.waitFor(
        new RegExp(`JOURNAL ${seen + 1} [0-9a-f]{64}\\n`),
        deadline - performance.now(),
      );
      seen = (await this.lastJournalLine()).lines;
    }
  }
}
