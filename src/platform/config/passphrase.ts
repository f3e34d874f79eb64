import { readSecretFile } from '../../kernel/files/secret-file.ts';

/** Variables with a passphrase. With `_FILE` at its end, each names a file instead. */
const VARIABLES = {
  vault: 'HYPERKEEP_PASSPHRASE',
  retention: 'HYPERKEEP_RETENTION_PASSPHRASE',
  new: 'HYPERKEEP_NEW_PASSPHRASE',
} as const;
export type PassphraseName = keyof typeof VARIABLES;
export const PASSPHRASE_NAMES = Object.keys(VARIABLES) as PassphraseName[];

/**
 * Removes a passphrase from the environment and returns it: HYPERKEEP_PASSPHRASE, or the first line
 * of the file that HYPERKEEP_PASSPHRASE_FILE names. Both variables are gone afterwards, so that no
 * child process and no crash dump has them. Returns `undefined` if neither is set.
 * @throws Fault `request.invalid`, `secret.exposed`
 */
export function takePassphrase(
  environment: Record<string, string | undefined>,
  name: PassphraseName = 'vault',
): string | undefined {
  const variable = VARIABLES[name];
  const { [variable]: passphrase, [`${variable}_FILE`]: file } = environment;
  for (const taken of [variable, `${variable}_FILE`]) {
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- one of six names
    delete environment[taken];
  }
  if (passphrase !== undefined && passphrase !== '') {
    return passphrase;
  }
  if (file === undefined || file === '') {
    return undefined;
  }
  return readSecretFile(file, `${variable}_FILE`);
}
