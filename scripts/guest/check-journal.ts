// Judges a data disk of the test guest from outside: no mount, no root, no help from the guest.
import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemPath } from '../setup/debian.mjs';
import { run } from '../setup/run.mjs';

/** What the disk says. `problems` is empty when everything that was reported written is there. */
export interface JournalReport {
  /** Complete lines in the journal; the last one's number, because they have no gaps. */
  readonly lines: number;
  /** Chain value of the last complete line. */
  readonly chain: string;
  /** Blobs whose content was compared with its line. */
  readonly blobs: number;
  /** True when the file system was cut off and its own journal had to be replayed first. */
  readonly neededRecovery: boolean;
  readonly problems: readonly string[];
}

/** How many of the newest blobs the writer keeps; see files/root/bin/writer. */
const KEEP = 32;

async function tool(
  file: string,
  parameters: readonly string[],
): Promise<{ exitCode: number; text: string }> {
  return run(file, parameters, { output: 'keep', env: { PATH: systemPath(), LANG: 'C' } });
}

async function isQcow2(path: string): Promise<boolean> {
  await using file = await open(path, 'r');
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
  return buffer.toString('latin1') === 'QFI\xfb';
}

async function privateCopy(image: string, target: string): Promise<void> {
  if (!(await isQcow2(image))) {
    const { exitCode, text } = await tool('cp', ['--sparse=always', image, target]);
    if (exitCode !== 0) {
      throw new Error(`cannot copy ${image}: ${text}`);
    }
    return;
  }
  const { exitCode, text } = await tool('qemu-img', ['convert', '-O', 'raw', image, target]);
  if (exitCode !== 0) {
    throw new Error(`cannot read ${image}: ${text}`);
  }
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Follows the chain; returns the hash of each blob by line number. */
function readChain(text: string, problems: string[]): { chain: string; sums: string[] } {
  const sums: string[] = [];
  let chain = 'start';
  // After the last line break is nothing, or a line that was never reported as written.
  for (const line of text.split('\n').slice(0, -1)) {
    const number = sums.length + 1;
    const [n = '', size = '', sum = '', found = ''] = line.split(' ');
    if (n !== String(number) || found !== sha256(`${chain} ${n} ${size} ${sum}`)) {
      problems.push(`journal: line ${number} is ${JSON.stringify(line.slice(0, 40))}`);
      break;
    }
    chain = found;
    sums.push(sum);
  }
  return { chain, sums };
}

async function checkBlobs(folder: string, sums: string[], problems: string[]): Promise<number> {
  const present = new Set(await readdir(folder).catch(() => []));
  let compared = 0;
  for (let n = Math.max(1, sums.length - KEEP + 1); n <= sums.length; n += 1) {
    if (!present.has(String(n))) {
      problems.push(`blob ${n} is missing`);
      continue;
    }
    compared += 1;
    if (sha256(await readFile(join(folder, String(n)))) !== sums[n - 1]) {
      problems.push(`blob ${n} differs from its line`);
    }
  }
  return compared;
}

/**
 * Checks a data disk image (raw or qcow2, not in use; it is not changed).
 *
 * @param atLeast number and chain of the last line that is known to be on the disk, from ttyS0
 */
export async function checkJournal(
  image: string,
  atLeast?: { readonly lines: number; readonly chain?: string },
): Promise<JournalReport> {
  const folder = await mkdtemp(join(tmpdir(), 'hyperkeep-journal-'));
  try {
    const raw = join(folder, 'disk.raw');
    await privateCopy(image, raw);
    const problems: string[] = [];
    const superblock = await tool('dumpe2fs', ['-h', raw]);
    const neededRecovery = /^Filesystem features:.*needs_recovery/m.test(superblock.text);
    if (neededRecovery) {
      await tool('e2fsck', ['-y', '-E', 'journal_only', raw]);
    }
    const fsck = await tool('e2fsck', ['-f', '-n', raw]);
    if (fsck.exitCode !== 0) {
      problems.push(`e2fsck -fn: exit ${fsck.exitCode}: ${fsck.text.trim()}`);
    }
    await tool('debugfs', ['-R', `rdump /writer ${folder}`, raw]);
    const text = await readFile(join(folder, 'writer/journal'), 'utf8').catch(() => '');
    if (text === '') {
      problems.push('journal: missing or empty');
    }
    const { chain, sums } = readChain(text, problems);
    if (atLeast !== undefined) {
      compareWithReported(text, sums.length, atLeast, problems);
    }
    const blobs = await checkBlobs(join(folder, 'writer/blobs'), sums, problems);
    return { lines: sums.length, chain, blobs, neededRecovery, problems };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function compareWithReported(
  text: string,
  lines: number,
  atLeast: { readonly lines: number; readonly chain?: string },
  problems: string[],
): void {
  if (lines < atLeast.lines) {
    problems.push(`journal: ends at line ${lines}, but line ${atLeast.lines} was reported written`);
  } else if (atLeast.chain !== undefined && atLeast.lines > 0) {
    const found = text.split('\n')[atLeast.lines - 1]?.split(' ')[3];
    if (found !== atLeast.chain) {
      problems.push(`journal: line ${atLeast.lines} is not the one that was reported written`);
    }
  }
}

if (import.meta.main) {
  const [image = '', lines] = process.argv.slice(2);
  const report = await checkJournal(
    image,
    lines === undefined ? undefined : { lines: Number(lines) },
  );
  console.log(JSON.stringify(report, undefined, 2));
  process.exitCode = report.problems.length === 0 ? 0 : 1;
}
