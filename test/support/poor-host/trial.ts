import { join } from 'node:path';
import { EXIT_CODES } from '../../../src/kernel/fault.ts';

export const PROGRAM = join(import.meta.dirname, '../../../bin/hyperkeep.mjs');
export const PASSPHRASE = 'zebra quantum ladle ninety';
export const SECRET_KEY = 'secretAccessKeyOfNobody0123456789';
export const OUTPUT_CHARACTERS_MAX = 20_000;
const FAULT_EXITS = new Set(Object.values(EXIT_CODES));

export interface Trial {
  readonly surrounding: string;
  readonly command: string;
  readonly exitCode: number | undefined;
  readonly durationMs: number;
  readonly output: string;
  /** What must not be; empty: all is well. */
  readonly wrong: readonly string[];
}

/** What is not as it should be; nothing in most cases. */
export function wrongIn(
  { exitCode, output }: Pick<Trial, 'exitCode' | 'output'>,
  { isHarmless = false }: { readonly isHarmless?: boolean },
): string[] {
  return [
    ...(exitCode === undefined ? ['it was still running at the limit'] : []),
    ...(exitCode !== undefined && exitCode !== 0 && !FAULT_EXITS.has(exitCode)
      ? [`exit ${String(exitCode)} is none of a fault`]
      : []),
    ...(/\n\s+at .*:\d+:\d+/.test(output) ? ['a stack was shown'] : []),
    ...(isHarmless && exitCode !== 0 ? ['what lacks is needed for nothing'] : []),
    ...([PASSPHRASE, SECRET_KEY].some((secret) => output.includes(secret))
      ? ['a secret was shown']
      : []),
    ...(output.split('vault cache not used').length > 2 ? ['it warned twice'] : []),
  ];
}
