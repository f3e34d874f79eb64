import { resolve } from 'node:path';
import { Fault, systemCode, type FaultCode } from '../../kernel/fault.ts';
import { readFile } from '../../kernel/files/files.ts';
import type { Cli } from '../cli.ts';

/** What is read from a file or from standard input. */
interface Input {
  /** For messages: `definition`. */
  readonly what: string;
  /** Of an input that is too large. */
  readonly code: FaultCode;
  readonly charactersMax: number;
}

/**
 * Returns the text of a file in the working folder, or of standard input for `-`.
 * @throws Fault `request.invalid` if there is no such file, or the input's own
 */
export async function readInput(cli: Cli, file: string, input: Input): Promise<string> {
  const text = await (file === '-' ? readStandardInput(cli, input) : readText(cli, file, input));
  if (text.length > input.charactersMax) {
    throw tooLarge(input);
  }
  return text;
}

async function readText(cli: Cli, file: string, { what }: Input): Promise<string> {
  const path = resolve(cli.environment.workingFolder, file);
  try {
    return await readFile(path, { encoding: 'utf8', signal: cli.signal });
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'EISDIR') {
      throw new Fault('request.invalid', `There is no ${what} file ${path}.`, { path });
    }
    throw error;
  }
}

async function readStandardInput(cli: Cli, input: Input): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const piece of cli.environment.terminal.input as AsyncIterable<string | Buffer>) {
    text += typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true });
    if (text.length > input.charactersMax) {
      throw tooLarge(input);
    }
  }
  return text;
}

function tooLarge({ what, code, charactersMax }: Input): Fault {
  return new Fault(code, `The ${what} is larger than ${String(charactersMax / 1024)} KiB.`);
}
