import { keepLocks as extendLocks, type KeepReport } from '../../vault/lock/keeper.ts';
import { type Cli } from '../cli.ts';
import { type Outcome } from '../outcome.ts';
import { count } from '../quantities.ts';
import { withVault, type VaultKey } from './vault-access.ts';

export interface KeepOptions extends VaultKey {
  readonly everything?: boolean;
}

/** Extends the locks of what recovery points need. */
export async function keepLocks(cli: Cli, options: KeepOptions): Promise<Outcome> {
  return await withVault(cli, options, async (vault) => {
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
    return { document: { keep: report }, text: textOf(report) };
  });
}

function textOf(report: KeepReport): string {
  const { needed, extended, refused, tampered, unsure, requests } = report;
  const lines = [
    `${count(needed, 'object')} needed, ${String(extended)} extended; ${count(requests.lists, 'list')}, ${count(requests.gets, 'read')}, ${count(requests.locks, 'lock')}.`,
    ...(unsure
      ? ['A recovery point could not be read, so everything counts as needed: run verify.']
      : []),
    ...refused.slice(0, 20).map((key) => `not extended: ${key}`),
    ...tampered
      .slice(0, 20)
      .map((key) => `written over or removed by somebody, its first version is kept: ${key}`),
  ];
  return `${lines.join('\n')}\n`;
}
