import { join } from 'node:path';
import { vaultIdAt } from '../../../vault/access/unlock.ts';
import type { ScrubBudget } from '../../../vault/checks/scrub-queue.ts';
import {
  ledgerOf,
  ledgerWithoutKey,
  provenPoints,
  scrubFault,
  scrubVault as scrub,
  type PointProven,
  type VaultScrub,
} from '../../../vault/checks/scrub-vault.ts';
import { scrubWithoutKey, type ScrubReport } from '../../../vault/checks/scrub.ts';
import { parseBytes, parseShare } from '../../terminal/amounts.ts';
import type { Cli } from '../../cli.ts';
import type { Outcome } from '../../outcome.ts';
import { damageText, scrubText } from '../../vault-text/scrub-text.ts';
import { TerminalLog } from '../../terminal/terminal-log.ts';
import { openSpending, withSpending } from '../spending-options.ts';
import { openStore, withVault, type VaultKey } from '../vault-access.ts';

export interface ScrubCommandOptions extends VaultKey {
  readonly budget?: string;
  readonly share?: string;
  readonly all?: boolean;
  readonly depth: 'frames' | 'ids';
  readonly withoutKey?: boolean;
  readonly points?: boolean;
}

/**
 * Reads a share of the vault and proves it. Writes damage to the vault.
 * @throws Fault `vault.damage-found` after the whole share was read
 */
export async function scrubVault(cli: Cli, options: ScrubCommandOptions): Promise<Outcome> {
  if (options.withoutKey === true) {
    return await withoutKey(cli, options);
  }
  return await withVault(cli, options, async (vault, spending) => {
    const { inside } = vault;
    const { signal } = cli;
    const ledger = ledgerOf(inside);
    using meter = cli.meter();
    const { depth } = options;
    const scrubbed = await scrub(
      inside,
      { ledger, depth, ...budgetOf(options) },
      { signal, report: meter.report },
    );
    const points =
      options.points === true
        ? await provenPoints(inside, await vault.points(signal), ledger, signal)
        : [];
    requireWhole(cli, scrubbed);
    return withSpending(outcome(cli, scrubbed.report, points), spending);
  });
}

async function withoutKey(cli: Cli, options: ScrubCommandOptions): Promise<Outcome> {
  await using resources = new AsyncDisposableStack();
  const spending = await openSpending(cli, options);
  const store = resources.adopt(await openStore(cli, options, spending), (opened) =>
    opened.close(),
  );
  const vaultId = await vaultIdAt(store, cli.signal);
  const { cacheFolder, terminal, clock } = cli.environment;
  const log = new TerminalLog(terminal.errors);
  const ledger = ledgerWithoutKey(
    join(cacheFolder, 'vaults'),
    { vaultId, place: store.identity },
    log,
  );
  using meter = cli.meter();
  const running = { signal: cli.signal, report: meter.report };
  const report = await scrubWithoutKey(store, { ledger, clock, ...budgetOf(options) }, running);
  requireWhole(cli, { report, missing: 0 });
  return withSpending(outcome(cli, report, []), spending);
}

function budgetOf({ budget, share, all }: ScrubCommandOptions): { budget?: ScrubBudget } {
  if (all === true) {
    return { budget: {} };
  }
  if (share !== undefined) {
    return { budget: { share: parseShare('--share', share) } };
  }
  return budget === undefined ? {} : { budget: { bytes: parseBytes('--budget', budget) } };
}

function requireWhole(cli: Cli, scrubbed: VaultScrub): void {
  const fault = scrubFault(scrubbed);
  if (fault !== undefined) {
    cli.sayLines(damageText(scrubbed.report));
    throw fault;
  }
}

function outcome(cli: Cli, report: ScrubReport, points: readonly PointProven[]): Outcome {
  return {
    document: { scrub: report, points },
    text: scrubText(report, points, (timeMs) => cli.time(timeMs)),
  };
}
