import { z } from 'zod';
import { Fault } from '../../kernel/fault.ts';
import { readSecretFile } from '../../kernel/files/secret-file.ts';
import { readConfig, type EnvironmentVariables, type Owner } from './config.ts';

/** Settings that only the command line reads; docs/configuration.md lists them too. */
export const CliVariables = z.object({
  HYPERKEEP_URL: z.url({ protocol: /^https?$/ }).optional(),
  HYPERKEEP_TOKEN_FILE: z.string().optional(),
  HYPERKEEP_VAULT: z.string().optional(),
  HYPERKEEP_ENDPOINT: z.string().optional(),
});

export interface ClientConfig {
  /** Home of the service, with its socket. */
  readonly homeFolder: string;
  readonly remote?: { readonly url: string; readonly token: string };
}

/**
 * Reads what the command line needs to find the service. Reports wrong settings as `readConfig`
 * does.
 */
export function readClientConfig(environment: EnvironmentVariables, owner: Owner): ClientConfig {
  const { home: homeFolder } = readConfig(environment, owner);
  const { HYPERKEEP_URL: url = '', HYPERKEEP_TOKEN_FILE: file = '' } = environment;
  if (url === '') {
    return { homeFolder };
  }
  if (!CliVariables.safeParse({ HYPERKEEP_URL: url }).success) {
    throw new Error('Wrong settings:\n  HYPERKEEP_URL: not a URL such as https://backup.example');
  }
  if (file === '') {
    throw new Fault(
      'request.invalid',
      'HYPERKEEP_URL needs HYPERKEEP_TOKEN_FILE: a file with the token of that service. Without both the command line uses the socket in HYPERKEEP_HOME.',
    );
  }
  const token = readSecretFile(file, 'HYPERKEEP_TOKEN_FILE');
  return { homeFolder, remote: { url, token } };
}

/** Where the vault of `rescue` is if the command line does not say. */
export interface VaultDefaults {
  readonly vault?: string;
  readonly endpoint?: string;
}

/** Empty values count as missing. */
export function readVaultDefaults(environment: EnvironmentVariables): VaultDefaults {
  const { HYPERKEEP_VAULT: vault = '', HYPERKEEP_ENDPOINT: endpoint = '' } = environment;
  return {
    ...(vault === '' ? {} : { vault }),
    ...(endpoint === '' ? {} : { endpoint }),
  };
}
