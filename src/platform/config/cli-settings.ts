import { z } from 'zod';
import { readConfig, type EnvironmentVariables, type Owner } from './config.ts';

/** Settings that only the command line reads; docs/configuration.md lists them too. */
export const CliVariables = z.object({
  HYPERKEEP_URL: z.url({ protocol: /^https?$/ }).optional(),
});

export interface ClientConfig {
  /** The service's home: its token and address are there. */
  readonly homeFolder: string;
  readonly serviceUrl?: string;
}

/** What the command line needs to find the service. Wrong settings are reported as by `readConfig`. */
export function readClientConfig(environment: EnvironmentVariables, owner: Owner): ClientConfig {
  const { home } = readConfig(environment, owner);
  const url = environment['HYPERKEEP_URL'];
  const { data, error } = CliVariables.safeParse(
    url === undefined || url === '' ? {} : { HYPERKEEP_URL: url },
  );
  if (error) {
    throw new Error('Wrong settings:\n  HYPERKEEP_URL: not a URL such as http://127.0.0.1:8480');
  }
  return {
    homeFolder: home,
    ...(data.HYPERKEEP_URL === undefined ? {} : { serviceUrl: data.HYPERKEEP_URL }),
  };
}
