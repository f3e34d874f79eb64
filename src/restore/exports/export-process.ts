import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Readable, Writable } from 'node:stream';
import { plainEnvironment, requireStart } from '../../kernel/command.ts';
import { PRIVATE_FILE_MODE } from '../../kernel/files/durable-file.ts';
import { open, readFile } from '../../kernel/files/files.ts';
import { Fault, FAULTS, systemCode, type FaultCode } from '../../kernel/fault.ts';
import { EXPORT_PID, ExportReport, type ExportOrder } from './export-order.ts';

/** Answers that wait for a store may take longer, and are then cut off. */
const END_MS_MAX = 15_000;
const LOOK_MS = 50;

/**
 * Starts the process of an export, and resolves when clients can connect. It outlives us.
 * @throws Fault what kept it from serving
 */
export async function startExport(
  folder: string,
  order: ExportOrder,
  signal: AbortSignal,
): Promise<void> {
  const isSource = import.meta.url.endsWith('.ts');
  const program = new URL(isSource ? './export.main.ts' : './export.main.js', import.meta.url);
  await using messages = await open(join(folder, 'messages'), 'a', PRIVATE_FILE_MODE);
  const child = spawn(process.execPath, [fileURLToPath(program), folder], {
    detached: true,
    env: plainEnvironment(),
    cwd: '/',
    stdio: ['pipe', 'pipe', messages.fd],
  });
  await requireStart(child, process.execPath);
  const { stdin, stdout } = child;
  assert(stdin !== null && stdout !== null, 'pipes were asked for');
  try {
    await answered({ child, stdin, stdout }, order, signal);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  stdin.destroy();
  stdout.destroy();
  child.unref();
}

interface Talking {
  readonly child: ChildProcess;
  readonly stdin: Writable;
  readonly stdout: Readable;
}

async function answered(
  { child, stdin, stdout }: Talking,
  order: ExportOrder,
  signal: AbortSignal,
): Promise<void> {
  const failed = once(child, 'exit', { signal }).then(([code, by]: unknown[]) => {
    throw new Fault(
      'export.failed',
      `The process of the export ended (${String(code ?? by)}) and said nothing.`,
    );
  });
  failed.catch(() => undefined);
  // A process that is gone does not read; its end says so.
  stdin.on('error', () => undefined);
  stdin.end(JSON.stringify(order));
  const [line] = (await Promise.race([
    once(createInterface({ input: stdout }), 'line', { signal }),
    failed,
  ])) as [string];
  const report = ExportReport.parse(JSON.parse(line));
  if (report.said === 'failed') {
    const { code, message } = report;
    const known = Object.hasOwn(FAULTS, code) ? (code as FaultCode) : 'export.failed';
    throw new Fault(known, message);
  }
}

/** Returns the process that serves from a folder; undefined if there is none any more. */
export async function exportPid(folder: string): Promise<number | undefined> {
  const pid = Number.parseInt((await textOf(join(folder, EXPORT_PID))) ?? '', 10);
  if (!Number.isSafeInteger(pid) || pid <= 1) {
    return undefined;
  }
  // A number may belong to another process by now.
  const parameters = await textOf(`/proc/${String(pid)}/cmdline`);
  return parameters?.split('\0').includes(folder) === true ? pid : undefined;
}

/** Ends the process that serves from a folder: in order, or after a while at once. */
export async function endExport(folder: string, signal: AbortSignal): Promise<void> {
  const startMs = performance.now();
  for (let sent: NodeJS.Signals | undefined; ;) {
    const pid = await exportPid(folder);
    if (pid === undefined) {
      return;
    }
    const next = performance.now() - startMs < END_MS_MAX ? 'SIGTERM' : 'SIGKILL';
    if (sent !== next) {
      process.kill(pid, next);
      sent = next;
    }
    await pause(LOOK_MS, undefined, { signal });
  }
}

async function textOf(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    // The process may end between two looks.
    if (['ENOENT', 'ESRCH'].includes(systemCode(error) ?? '')) {
      return undefined;
    }
    throw error;
  });
}
