import { Vault } from '../../vault/vault.ts';
import { probeStore as tryStore } from '../../vault/probe/store-probe.ts';
import { storeTrial } from '../../vault/probe/store-trial.ts';
import type { Cli } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import { trialText } from '../vault-text/trial-text.ts';
import { capabilityMarkdown } from './capability-markdown.ts';
import { openOptions, openStore, unlock, type VaultKey } from './vault-access.ts';

export interface ProbeOptions extends VaultKey {
  readonly markdown?: boolean;
  readonly save?: boolean;
}

/** Tries what a store can do; `--save` keeps the result in the vault there. */
export async function probeStore(cli: Cli, options: ProbeOptions): Promise<Outcome> {
  const unlocked = options.save === true ? await unlock(cli, options) : undefined;
  await using resources = new AsyncDisposableStack();
  const store = resources.adopt(await openStore(cli, options), (opened) => opened.close());
  cli.say(`Trying ${store.location}; what is locked in the trial goes after some seconds.`);
  if (unlocked === undefined) {
    const { clock } = cli.environment;
    return outcome(await tryStore(store, { clock }, cli.signal), options);
  }
  const vault = resources.adopt(
    await Vault.open(store, unlocked, openOptions(cli), cli.signal),
    (opened) => opened.close(),
  );
  return outcome(await vault.probe({}, cli.signal), options);
}

function outcome(
  capabilities: Awaited<ReturnType<typeof tryStore>>,
  { markdown }: ProbeOptions,
): Outcome {
  return {
    document: { capabilities },
    text:
      markdown === true ? capabilityMarkdown(capabilities) : trialText(storeTrial(capabilities)),
  };
}
