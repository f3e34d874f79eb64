import { readFileSync } from 'node:fs';

/**
 * Takes the vault passphrase out of the environment: HYPERKEEP_PASSPHRASE, or the first line of the
 * file that HYPERKEEP_PASSPHRASE_FILE names. Both variables are gone afterwards, so that no child
 * process and no crash dump of the environment has them. `undefined` when neither is set.
 */
export function takePassphrase(
  environment: Record<string, string | undefined>,
): string | undefined {
  const { HYPERKEEP_PASSPHRASE: passphrase, HYPERKEEP_PASSPHRASE_FILE: file } = environment;
  delete environment['HYPERKEEP_PASSPHRASE'];
  delete environment['HYPERKEEP_PASSPHRASE_FILE'];
  if (passphrase !== undefined && passphrase !== '') {
    return passphrase;
  }
  if (file === undefined || file === '') {
    return undefined;
  }
  return readFileSync(file, 'utf8').split(/\r?\n/, 1)[0];
}
