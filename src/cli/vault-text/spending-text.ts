import type { Cost, SpendingReport, StoreSpending } from '../../api/contract/spending.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { plainText } from '../terminal/plain-text.ts';

/** Returns what was requested from each store and what that costs, one line each. */
export function spendingText({ stores }: Pick<SpendingReport, 'stores'>): string {
  return stores.map((store) => `${storeText(store)}\n`).join('');
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

/** Returns `0.012 USD (Amazon S3, prices of 2026-05; check your bill)`. */
export function costText({ amount, currency, prices, asOf }: Cost): string {
  const digits = amount >= 1 ? amount.toFixed(2) : amount.toPrecision(2);
  return `${digits} ${currency} (${plainText(prices)}, prices of ${asOf}; check your bill)`;
}
