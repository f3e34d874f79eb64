import { keepLocks as extendLocks } from '../../../vault/lock/keeper.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { keepText } from '../../vault-text/keep-text.ts';
import { withSpending } from '../spending-options.ts';
import { withVault, type VaultKey } from '../vault-access.ts';

export interface KeepOptions extends VaultKey {
  readonly everything?: boolean;
}

/** Extends the locks of what recovery points need. */
export async function keepLocks(cli: Cli, options: KeepOptions): Promise<Outcome> {
  return await withVault(cli, options, async (vault, spending) => {
    using meter = cli.meter();
    const report = await extendLocks(
      vault.inside,
      { everything: options.everything === true },
      {
        signal: cli.signal,
        report: (progress) => {
          meter.report(progress);
        },
      },
    );
    return withSpending({ document: { keep: report }, text: keepText(report) }, spending);
  });
}
