import { Fault } from '../../kernel/fault.ts';
import type { CliEnvironment, PassphraseName } from '../cli-environment.ts';
import { askSecret, canAsk } from '../terminal/prompt.ts';

/** Returns the passphrase of an existing vault: from the settings, or by asking. */
export async function existingPassphrase(
  environment: CliEnvironment,
  signal: AbortSignal,
): Promise<string> {
  const given = await environment.readPassphrase();
  if (given !== undefined) {
    return given;
  }
  requireTerminal(environment);
  return await askSecret(environment.terminal, 'Passphrase of the vault: ', signal);
}

/** What a new passphrase is for, and the words to ask for it. */
const NEW_PASSPHRASES = {
  vault: 'Passphrase of the new vault',
  retention: 'Passphrase of its retention key',
  new: 'New passphrase',
} as const satisfies Record<PassphraseName, string>;

/**
 * Returns a new passphrase: from the settings, or by asking twice. Undefined if the user wants one
 * to be generated.
 */
export async function newPassphrase(
  environment: CliEnvironment,
  signal: AbortSignal,
  which: PassphraseName = 'vault',
): Promise<string | undefined> {
  const given = await environment.readPassphrase(which);
  if (given !== undefined) {
    return given;
  }
  requireTerminal(environment);
  const { terminal } = environment;
  const first = await askSecret(
    terminal,
    `${NEW_PASSPHRASES[which]} (just Enter: one is generated): `,
    signal,
  );
  if (first === '') {
    return undefined;
  }
  const second = await askSecret(terminal, 'The same again: ', signal);
  if (first !== second) {
    throw new Fault('passphrase.mismatch', 'The two passphrases differ. Nothing was changed.');
  }
  return first;
}

/**
 * Returns the passphrase of a separate retention key: from the settings, or by asking. Undefined if
 * there is nobody to ask.
 */
export async function retentionPassphrase(
  environment: CliEnvironment,
  signal: AbortSignal,
): Promise<string | undefined> {
  const given = await environment.readPassphrase('retention');
  return given === undefined && canAsk(environment.terminal)
    ? await askSecret(environment.terminal, 'Passphrase of the retention key: ', signal)
    : given;
}

/**
 * Returns the text that shows a generated passphrase: for standard error, never for a document that
 * may be kept.
 */
export function generatedAdvice(passphrase: string, what = 'Passphrase'): string {
  return `${what} (shown this once, write it down): ${passphrase}\n`;
}

function requireTerminal({ terminal }: CliEnvironment): void {
  if (!canAsk(terminal)) {
    throw new Fault(
      'passphrase.missing',
      'A passphrase is needed and there is no terminal to ask on. Set HYPERKEEP_PASSPHRASE_FILE or HYPERKEEP_PASSPHRASE.',
    );
  }
}
