import type { Command } from 'commander';
import { resolve } from 'node:path';
import type { StoreCredentials } from '../../api/contract/vault-credentials.ts';
import { Fault } from '../../kernel/fault.ts';
import { readSecretText } from '../../kernel/files/secret-file.ts';

export interface CredentialsOptions {
  readonly profile?: string;
  readonly keysFile?: string;
}

const KEYS = {
  accessKeyId: 'aws_access_key_id',
  secretAccessKey: 'aws_secret_access_key',
  sessionToken: 'aws_session_token',
} as const;

export function withCredentialsOptions(command: Command): Command {
  return command
    .option('--profile <name>', 'a profile in the AWS settings of the user of the service')
    .option(
      '--keys-file <path>',
      'keys, as in ~/.aws/credentials, in a file that only you can read; the service keeps them encrypted',
    );
}

/**
 * Returns the credentials that were given, if any. A file has lines such as `aws_access_key_id =
 * ID`; sections are not looked at.
 * @throws Fault `request.invalid`, `secret.exposed`
 */
export function storeCredentials(
  { profile, keysFile }: CredentialsOptions,
  workingFolder: string,
): StoreCredentials | undefined {
  if (keysFile === undefined) {
    return profile === undefined ? undefined : { profile };
  }
  if (profile !== undefined) {
    throw new Fault('request.invalid', 'Give --profile or --keys-file, not both.');
  }
  const path = resolve(workingFolder, keysFile);
  const text = readSecretText(path, '--keys-file');
  const read = (name: string): string | undefined =>
    new RegExp(`^\\s*${name}\\s*=\\s*(\\S+)\\s*$`, 'm').exec(text)?.[1];
  const accessKeyId = read(KEYS.accessKeyId);
  const secretAccessKey = read(KEYS.secretAccessKey);
  const sessionToken = read(KEYS.sessionToken);
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new Fault(
      'request.invalid',
      `${path} has no line "${KEYS.accessKeyId} = ID" or no line "${KEYS.secretAccessKey} = SECRET".`,
      { path },
    );
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}
