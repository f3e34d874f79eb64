import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Command } from 'commander';
import { formatBytes } from '../../kernel/bytes.ts';
import { Fault, systemCode } from '../../kernel/fault.ts';
import { DEFAULT_PRICES, parsePrices, type PriceTable } from '../../vault/budget/prices.ts';
import { Spending, type Cost, type StoreSpending } from '../../vault/budget/spending.ts';
import { parseBytes, parseCount, parseMoney } from '../amounts.ts';
import { type Cli, type CommonOptions } from '../cli.ts';
import { type Outcome } from '../outcome.ts';
import { plainText } from '../plain-text.ts';
import { count } from '../quantities.ts';

/** What a job may use, and what that costs. */
export interface SpendingOptions {
  readonly prices?: string;
  readonly maxRequests?: string;
  readonly maxBytes?: string;
  readonly maxCost?: string;
}

export type PricesOptions = CommonOptions & Pick<SpendingOptions, 'prices'>;

export function withSpendingOptions(command: Command): Command {
  return command
    .option('--max-requests <n>', 'stop cleanly before more requests than this')
    .option('--max-bytes <amount>', 'stop cleanly when this much was sent and received: 500M, 2G')
    .option('--max-cost <amount>', 'stop cleanly before requests and transfer cost more than this')
    .option('--prices <file>', 'a price table of your own; see: hyperkeep rescue prices');
}

/** @throws Fault `request.invalid`, `budget.prices-invalid` */
export async function openSpending(cli: Cli, options: SpendingOptions): Promise<Spending> {
  const { prices, maxRequests, maxBytes, maxCost } = options;
  const table = prices === undefined ? DEFAULT_PRICES : await readPrices(cli, prices);
  return new Spending(
    {
      ...(maxRequests === undefined ? {} : { requests: parseCount('--max-requests', maxRequests) }),
      ...(maxBytes === undefined ? {} : { bytes: parseBytes('--max-bytes', maxBytes) }),
      ...(maxCost === undefined ? {} : { cost: parseMoney('--max-cost', maxCost) }),
    },
    table,
  );
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

/** The outcome, and what it took. */
export function withSpending(outcome: Outcome, spending: Spending): Outcome {
  const { report } = spending;
  return {
    document: { ...(outcome.document as object), spending: report },
    text: outcome.text + report.stores.map((store) => `${storeText(store)}\n`).join(''),
  };
}

function storeText(store: StoreSpending): string {
  const { puts, gets, lists, removes, sentBytes, receivedBytes, cost } = store;
  const requests = [
    `${String(puts)} PUT`,
    `${String(gets)} GET`,
    `${String(lists)} LIST`,
    ...(removes > 0 ? [`${String(removes)} DELETE`] : []),
  ].join(', ');
  const bytes = `${formatBytes(sentBytes)} sent, ${formatBytes(receivedBytes)} received`;
  const price = cost === undefined ? '' : `; about ${costText(cost)}`;
  return `${plainText(store.location)}: ${requests}; ${bytes}${price}`;
}

/** `0.012 USD (Amazon S3, prices of 2026-05; check your bill)`. */
export function costText({ amount, currency, prices, asOf }: Cost): string {
  const digits = amount >= 1 ? amount.toFixed(2) : amount.toPrecision(2);
  return `${digits} ${currency} (${plainText(prices)}, prices of ${asOf}; check your bill)`;
}

/** The price table in use, ready to be changed and given to `--prices`. */
export async function showPrices(cli: Cli, options: PricesOptions): Promise<Outcome> {
  const table =
    options.prices === undefined ? DEFAULT_PRICES : await readPrices(cli, options.prices);
  const text = `${JSON.stringify(table, undefined, 2)}\n`;
  cli.say(
    `${count(table.stores.length, 'store')}, prices of ${table.asOf}; they change, so check your bill.`,
  );
  return { document: table, text };
}
