import { Fault } from '../../kernel/fault.ts';
import type { Terminal } from './terminal.ts';

/** Longer answers are refused: nobody types them. */
const ANSWER_CHARACTERS_MAX = 1024;
const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const CTRL_U = '\u0015';
const ESCAPE_SEQUENCE = /\u001b\[[0-9;]*[A-Za-z~]/g; // eslint-disable-line no-control-regex -- arrow keys

/** True if there is somebody to ask. */
export function canAsk({ input, errors }: Terminal): boolean {
  return input.isTTY === true && errors.isTTY === true;
}

/** Asks for a line without showing what is typed. */
export async function askSecret(
  terminal: Terminal,
  question: string,
  signal: AbortSignal,
): Promise<string> {
  terminal.input.setRawMode?.(true);
  try {
    return await readLine(terminal, question, signal);
  } finally {
    terminal.input.setRawMode?.(false);
    terminal.errors.write('\n');
  }
}

/** Asks for a line. */
export async function askLine(
  terminal: Terminal,
  question: string,
  signal: AbortSignal,
): Promise<string> {
  return (await readLine(terminal, question, signal)).trim();
}

/** Asks a question; only `yes` agrees. */
export async function askYes(
  terminal: Terminal,
  question: string,
  signal: AbortSignal,
): Promise<boolean> {
  const answer = await readLine(terminal, `${question} Type "yes" to go on: `, signal);
  return answer.trim().toLowerCase() === 'yes';
}

/** Reads to the end of the line; pasted text after it is left for the next question. */
async function readLine(
  { errors, input }: Terminal,
  question: string,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  errors.write(question);
  const line = new TypedLine();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const onData = (piece: string | Buffer): void => {
    try {
      const rest = line.type(piece.toString());
      if (rest !== undefined) {
        input.off('data', onData);
        input.pause();
        if (rest !== '') {
          input.unshift(Buffer.from(rest));
        }
        resolve(line.text);
      }
    } catch (error) {
      reject(error);
    }
  };
  const onEnd = (): void => {
    resolve(line.text);
  };
  const onAbort = (): void => {
    reject(signal.reason);
  };
  signal.addEventListener('abort', onAbort);
  input.on('data', onData).on('end', onEnd).on('error', reject);
  if (input.readableEnded) {
    onEnd();
  }
  try {
    input.resume();
    return await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    input.off('data', onData).off('end', onEnd).off('error', reject);
    input.pause();
  }
}

/** A line typed in raw mode, with the editing that the terminal then does not do. */
class TypedLine {
  text = '';

  /** Takes typed characters. Returns what follows the end of the line; undefined before it. */
  type(typed: string): string | undefined {
    const characters = Array.from(typed.replace(ESCAPE_SEQUENCE, ''));
    for (const [index, character] of characters.entries()) {
      if (character === '\r' || character === '\n' || character === CTRL_D) {
        return characters.slice(index + 1).join('');
      }
      this.text = edited(this.text, character);
    }
    return undefined;
  }
}

function edited(typed: string, character: string): string {
  if (character === CTRL_C) {
    throw new DOMException('Interrupted.', 'AbortError');
  }
  if (character === CTRL_U) {
    return '';
  }
  if (character === '\u007f' || character === '\b') {
    return Array.from(typed).slice(0, -1).join('');
  }
  if (typed.length >= ANSWER_CHARACTERS_MAX) {
    throw new Fault('request.invalid', 'The answer is too long.');
  }
  return typed + character;
}
