import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** A failure that was explained on the terminal: no stack, only this exit code. */
export class SetupError extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Exit code if a person must type something first (EX_UNAVAILABLE). */
export const EXIT_NEEDS_PERSON = 69;

const running = new Set();
/** After Ctrl-C the running program ends by itself, and nothing further may start. */
let stopped;
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  process.on(signal, () => {
    stopped = new SetupError(`stopped by ${signal}`, 128 + constants.signals[signal]);
    for (const child of running) {
      child.kill(signal);
    }
    // Whoever listens as well cleans up first.
    if (running.size === 0 && process.listenerCount(signal) === 1) {
      process.exit(128 + constants.signals[signal]);
    }
  });
}

/**
 * Runs a program to its end. `output: 'keep'` returns what it printed, `'show'` lets it print.
 * Resolves with the exit code (128 + n after signal n).
 *
 * @param {string} file
 * @param {readonly string[]} parameters
 * @param {import('node:child_process').SpawnOptions & { output?: 'keep' | 'show' }} [settings]
 * @returns {Promise<{ exitCode: number, text: string }>}
 */
export async function run(file, parameters, settings = {}) {
  const { output = 'show', ...options } = settings;
  if (stopped) {
    throw stopped;
  }
  const child = spawn(file, parameters, {
    ...options,
    stdio: output === 'show' ? 'inherit' : ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const pieces = [];
  child.stdout?.on('data', (piece) => pieces.push(piece));
  child.stderr?.on('data', (piece) => pieces.push(piece));
  try {
    const exitCode = await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
    });
    if (stopped) {
      throw stopped;
    }
    return { exitCode, text: Buffer.concat(pieces).toString('utf8') };
  } finally {
    running.delete(child);
  }
}

/**
 * Like `run`, but a failure ends the set-up with the program's output.
 * @param {string} file
 * @param {readonly string[]} parameters
 * @param {Parameters<typeof run>[2]} [options]
 */
export async function mustRun(file, parameters, options = {}) {
  const result = await run(file, parameters, options);
  if (result.exitCode !== 0) {
    const said = result.text.trim();
    throw new SetupError(
      `${file} ${parameters.join(' ')} failed (exit ${result.exitCode})${said ? `:\n${said}` : ''}`,
      result.exitCode,
    );
  }
  return result;
}

export function seconds(sinceMs) {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}
