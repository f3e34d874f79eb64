// Hyperkeep as its service runs it: one process has the vault open and takes one job after another.
import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { systemPath } from '../scripts/setup/debian.mjs';
import {
  hyperkeep,
  hyperkeepProgram,
  type Contender,
  type HyperkeepOptions,
} from './contenders.ts';
import { stored, type Cost } from './measure.ts';

/** Name for `--only`. */
export const SERVICE = 'hyperkeep-service';

/** `hyperkeep-run.ts serve` as a child process. */
class Serving {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;

  constructor(folder: string, target: string, options: HyperkeepOptions) {
    const program = hyperkeepProgram(folder, ['serve', target], options);
    const { file, parameters, environment } = program;
    this.#child = spawn(file, parameters, {
      env: { PATH: systemPath(), LANG: 'C', ...environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async answer(): Promise<Omit<Cost, 'wallS'>> {
    const answer = await this.#answers.next();
    assert(answer.done !== true, 'the process that has the vault open ended');
    return JSON.parse(answer.value) as Omit<Cost, 'wallS'>;
  }

  /** CPU time is that of the process during the command, memory the most it ever had. */
  async perform(...command: readonly string[]): Promise<Cost> {
    const startedMs = performance.now();
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    const cost = await this.answer();
    return { ...cost, wallS: (performance.now() - startedMs) / 1000 };
  }

  async end(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }
}

/** Like `hyperkeep`, but without starting a process and unlocking the vault in each step. */
export function hyperkeepService(folder: string, options: HyperkeepOptions = {}): Contender {
  const target = join(folder, 'vault');
  let serving: Serving | undefined;
  const perform = async (...command: readonly string[]): Promise<Cost> => {
    assert(serving !== undefined, 'prepare comes first');
    return serving.perform(...command);
  };
  return {
    name: options.name ?? SERVICE,
    prepare: async () => {
      await hyperkeep(folder, options).prepare();
      serving = new Serving(folder, target, options);
      await serving.answer();
    },
    backUp: (image, vm) => perform('back-up', image, vm),
    restore: (_image, vm, file) => perform('restore', vm, file),
    stored: () => stored(target),
    end: async () => serving?.end(),
  };
}
