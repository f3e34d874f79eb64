import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Fault, systemCode } from '../../kernel/fault.ts';
import { readFile } from '../../kernel/files/files.ts';
import { DEFAULT_PRICES, parsePrices, type PriceTable } from '../../vault/budget/prices.ts';
import { Spending } from '../../vault/budget/spending.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import { count } from '../terminal/quantities.ts';
import { limitsOf, withLimitOptions, type LimitOptions } from '../options/spending-limits.ts';
import { spendingText } from '../vault-text/spending-text.ts';

/** What a job may use, and what prices apply. */
export interface SpendingOptions extends LimitOptions {
  readonly prices?: string;
}

export type PricesOptions = CommonOptions & Pick<SpendingOptions, 'prices'>;

export function withSpendingOptions(command: Command): Command {
  return withLimitOptions(command).option(
    '--prices <file>',
    'a price table of your own; see: hyperkeep rescue prices',
  );
}

/** @throws Fault `request.invalid`, `budget.prices-invalid` */
export async function openSpending(cli: Cli, options: SpendingOptions): Promise<Spending> {
  const { prices } = options;
  const table = prices === undefined ? DEFAULT_PRICES : await readPrices(cli, prices);
  return new Spending(limitsOf(options), table);
}

async function readPrices(cli: Cli, file: string): Promise<PriceTable> {
  const path = resolve(cli.environment.workingFolder, file);
  try {
    return parsePrices(await readFile(path, 'utf8'), path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      throw new Fault('budget.prices-invalid', `There is no ${path}.`, { path }, { cause: error });
    }
    throw error;
  }
}

/** Returns the outcome together with what it used. */
export function withSpending(outcome: Outcome, { report }: Spending): Outcome {
  return {
    document: { ...(outcome.document as object), spending: report },
    text: outcome.text + spendingText(report),
  };
}

/** Shows the price table in use, for editing and passing to `--prices`. */
export async function showPrices(cli: Cli, options: PricesOptions): Promise<Outcome> {
  const table =
    options.prices === undefined ? DEFAULT_PRICES : await readPrices(cli, options.prices);
  const text = `${JSON.stringify(table, undefined, 2)}\n`;
  cli.say(
    `${count(table.stores.length, 'store')}, prices of ${table.asOf}; they change, so check your bill.`,
  );
  return { document: table, text };
}
