import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemPath } from '../scripts/setup/debian.mjs';

/** What one run of a program cost. */
export interface Cost {
  readonly wallS: number;
  /** User and system time of all its threads. */
  readonly cpuS: number;
  readonly peakMemoryBytes: number;
}

/** What lies in a target. */
export interface Stored {
  readonly bytes: number;
  readonly objects: number;
}

export interface Program {
  readonly file: string;
  readonly parameters: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingFolder?: string;
  /** File descriptor that gets what the program prints; default: nobody, errors are kept. */
  readonly output?: number;
}

/** Runs a program to its end under GNU time. A program that fails ends the bench. */
export async function measure(program: Program): Promise<Cost> {
  const folder = await mkdtemp(join(tmpdir(), 'hyperkeep-bench-'));
  try {
    const report = join(folder, 'time');
    const child = spawn(
      '/usr/bin/time',
      ['--quiet', '-f', '%U %S %M', '-o', report, program.file, ...program.parameters],
      {
        env: { PATH: systemPath(), LANG: 'C', ...program.environment },
        cwd: program.workingFolder,
        stdio: ['ignore', program.output ?? 'pipe', 'pipe'],
        // A separate group, so that the bench's end stops the program and not only its stopwatch.
        detached: true,
      },
    );
    const stop = (): void => {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    };
    process.prependOnceListener('exit', stop);
    const said: Buffer[] = [];
    child.stdout?.on('data', (piece: Buffer) => said.push(piece));
    child.stderr?.on('data', (piece: Buffer) => said.push(piece));
    const startedMs = performance.now();
    const exitCode = await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    const wallS = (performance.now() - startedMs) / 1000;
    process.removeListener('exit', stop);
    if (exitCode !== 0) {
      const command = [program.file, ...program.parameters].join(' ');
      throw new Error(`${command} (exit ${String(exitCode)}):\n${Buffer.concat(said).toString()}`);
    }
    const [user = 0, system = 0, kib = 0] = (await readFile(report, 'utf8')).split(' ').map(Number);
    return { wallS, cpuS: user + system, peakMemoryBytes: kib * 1024 };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Bytes and files below a folder. */
export async function stored(folder: string): Promise<Stored> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  let bytes = 0;
  let objects = 0;
  for (const entry of entries) {
    if (entry.isFile()) {
      bytes += (await stat(join(entry.parentPath, entry.name))).size;
      objects += 1;
    }
  }
  return { bytes, objects };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
