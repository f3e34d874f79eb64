import { formatBytes } from '../../kernel/text/bytes.ts';
import { Fault } from '../../kernel/fault.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { MeteredObjectStore } from '../object-stores/metered.ts';
import { addTraffic, NO_TRAFFIC, requestsOf, type StoreTraffic } from '../object-stores/traffic.ts';
import { DEFAULT_PRICES, pricesAt, type Prices, type PriceTable } from './prices.ts';

/** How much a job may use before it stops. */
export interface SpendingLimits {
  readonly requests?: number | undefined;
  /** Sent and received together. */
  readonly bytes?: number | undefined;
  /** In the currency of the prices. */
  readonly cost?: number | undefined;
}

export interface Cost {
  readonly amount: number;
  readonly currency: string;
  /** Name and date of the price list. */
  readonly prices: string;
  readonly asOf: string;
}

export interface StoreSpending extends StoreTraffic {
  readonly location: string;
  /** By the first part of the key: `d/`, `s/`. */
  readonly byPrefix: Readonly<Record<string, StoreTraffic>>;
  readonly cost?: Cost;
}

export interface SpendingReport {
  readonly requests: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly stores: readonly StoreSpending[];
}

interface Account {
  readonly store: MeteredObjectStore;
  readonly prices: Prices | undefined;
}

/**
 * Counts what one job uses at its stores, request by request, and stops it at the limit. Stopping
 * between two requests is safe: the next run continues a job that was killed there.
 */
export class Spending {
  readonly #limits: SpendingLimits;
  readonly #table: PriceTable;
  readonly #accounts: Account[] = [];
  #total = NO_TRAFFIC;
  #cost = 0;

  constructor(limits: SpendingLimits = {}, table: PriceTable = DEFAULT_PRICES) {
    this.#limits = limits;
    this.#table = table;
  }

  /**
   * Counts what goes through the store from now on. Wrap the store before the layer that repeats
   * requests.
   */
  meter(store: ObjectStore, endpoint?: string): MeteredObjectStore {
    const { location } = store;
    const prices = pricesAt(this.#table, {
      location,
      ...(endpoint === undefined ? {} : { endpoint }),
    });
    const metered = new MeteredObjectStore(store, (more) => {
      this.#charge(more, prices);
    });
    this.#accounts.push({ store: metered, prices });
    return metered;
  }

  /**
   * Returns what the same traffic costs at one of the stores; undefined if there are no prices for
   * it.
   */
  costOf(traffic: StoreTraffic, location: string): Cost | undefined {
    const account = this.#accounts.find(({ store }) => store.location === location);
    return account?.prices && costAt(account.prices, this.#table.asOf, traffic);
  }

  get report(): SpendingReport {
    const { sentBytes, receivedBytes } = this.#total;
    const stores = this.#accounts.map(({ store, prices }) => {
      const cost = prices && costAt(prices, this.#table.asOf, store.traffic);
      return {
        location: store.location,
        ...store.traffic,
        byPrefix: store.byPrefix,
        ...(cost === undefined ? {} : { cost }),
      };
    });
    return { requests: requestsOf(this.#total), sentBytes, receivedBytes, stores };
  }

  /**
   * Called with a request before it is sent, and with the bytes of its answer afterwards; only the
   * first call can stop the job.
   * @throws Fault `budget.reached`
   */
  #charge(more: Partial<StoreTraffic>, prices: Prices | undefined): void {
    const total = addTraffic(this.#total, more);
    const cost =
      this.#cost + (prices === undefined ? 0 : amountOf(prices, addTraffic(NO_TRAFFIC, more)));
    if (requestsOf(total) > requestsOf(this.#total)) {
      this.#refuse(total, cost, prices?.currency ?? '');
    }
    this.#total = total;
    this.#cost = cost;
  }

  #refuse(total: StoreTraffic, cost: number, currency: string): void {
    const { requests = Infinity, bytes = Infinity, cost: costMax = Infinity } = this.#limits;
    const used = total.sentBytes + total.receivedBytes;
    const limit =
      requestsOf(total) > requests
        ? `${requests} requests`
        : used > bytes
          ? formatBytes(bytes)
          : cost > costMax
            ? `${costMax} ${currency}`
            : undefined;
    if (limit !== undefined) {
      throw new Fault(
        'budget.reached',
        `The limit of ${limit} for this job is reached. What was done so far stays; run the command again with a higher limit to go on.`,
        {
          requests: requestsOf(this.#total),
          bytes: this.#total.sentBytes + this.#total.receivedBytes,
        },
      );
    }
  }
}

function costAt(prices: Prices, asOf: string, traffic: StoreTraffic): Cost {
  const { name, currency } = prices;
  return { amount: amountOf(prices, traffic), currency, prices: name, asOf };
}

function amountOf({ perThousand, perGigabyte }: Prices, traffic: StoreTraffic): number {
  const requests =
    traffic.puts * perThousand.put +
    traffic.gets * perThousand.get +
    traffic.lists * perThousand.list +
    traffic.removes * perThousand.remove;
  const bytes =
    traffic.sentBytes * perGigabyte.upload + traffic.receivedBytes * perGigabyte.download;
  return requests / 1000 + bytes / 1e9;
}
