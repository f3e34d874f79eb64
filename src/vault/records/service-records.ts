import { Fault, isFault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import {
  parseRecordKey,
  RECORD_PREFIX,
  RECORD_SERVICES_MAX,
  recordKey,
  recordPrefix,
  RECORDS_OF_SERVICE_MAX,
  type RecordName,
} from '../format/record-names.ts';
import type { KeyTree } from '../keys/key-tree.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { decodeRecord, encodeRecord, type ServiceRecord } from './record-object.ts';

/** A record as it was found, with what the store says about it. */
export interface FoundRecord {
  readonly name: RecordName;
  readonly record: ServiceRecord;
  /** When the store took it, by the store's clock; undefined if it does not say. */
  readonly storedAtMs: number | undefined;
}

interface ListedName extends RecordName {
  readonly storedAtMs: number | undefined;
}

export interface RecordsBase {
  readonly store: ObjectStore;
  readonly keys: KeyTree;
}

type Unsequenced<R> = R extends unknown ? Omit<R, 'service' | 'sequence'> : never;
/** A record before it has a place. */
export type NewRecord = Unsequenced<ServiceRecord>;

const GETS_AT_ONCE = 8;
/** A record that was listed may be gone: its service has written a newer one. */
const LISTINGS_MAX = 10;

/**
 * What services write into a vault for each other, under `cat/`: docs/service-records.md. What
 * cannot be read is logged and left out.
 */
export class ServiceRecords {
  readonly #base: RecordsBase;
  readonly #log: Log;
  /** Objects never change, so each is read once. */
  readonly #known = new Map<ObjectKey, ServiceRecord | undefined>();

  constructor(base: RecordsBase, log: Log) {
    this.#base = base;
    this.#log = log;
  }

  /**
   * Reads the records of all services, or of one, those of each in ascending order.
   * @throws Fault `vault.list-incomplete` if records vanish faster than they can be read
   */
  async read(signal: AbortSignal, service?: string): Promise<FoundRecord[]> {
    for (let listing = 0; listing < LISTINGS_MAX; listing++) {
      const names = await this.#list(signal, service);
      const gone = await mapAtOnce(names, GETS_AT_ONCE, async ({ key }) => this.#get(key, signal));
      if (!gone.includes('gone')) {
        this.#forgetAllBut(names);
        return names.flatMap(({ storedAtMs, ...name }) => {
          const record = this.#known.get(name.key);
          return record === undefined ? [] : [{ name, record, storedAtMs }];
        });
      }
    }
    throw new Fault(
      'vault.list-incomplete',
      `Records under ${RECORD_PREFIX} vanish faster than they can be read. Nothing was changed; look who removes them.`,
      { location: this.#base.store.location },
    );
  }

  /**
   * Writes a record behind all that the service has.
   * @param after the number of the last one, if the caller wrote it; saves a listing
   * @throws Fault `vault.limit-reached`, `request.invalid`
   */
  async put(
    service: string,
    record: NewRecord,
    signal: AbortSignal,
    after?: number,
  ): Promise<RecordName> {
    const last = after ?? (await this.#list(signal, service)).at(-1)?.number ?? 0;
    const number = last + 1;
    const key = recordKey(service, number);
    const whole = { ...record, service, sequence: number };
    await this.#base.store.put(key, encodeRecord(this.#base.keys, key, whole), signal);
    return { key, service, number };
  }

  /** @returns false if this machine must not remove it: then it stays */
  async remove({ key }: RecordName, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#base.store.remove(key, signal);
      this.#known.delete(key);
      return true;
    } catch (error) {
      if (isFault(error, 'store.denied')) {
        return false;
      }
      throw error;
    }
  }

  /** Lists the names that are read, of each service in ascending order of numbers. */
  async #list(signal: AbortSignal, service?: string): Promise<ListedName[]> {
    const { store } = this.#base;
    const services = new Map<string, ListedName[]>();
    const prefix = service === undefined ? RECORD_PREFIX : recordPrefix(service);
    for await (const { key, storedAtMs } of store.list(prefix, signal)) {
      const name = parseRecordKey(key);
      const others = name && (services.get(name.service) ?? []);
      if (others === undefined || name === undefined) {
        continue;
      }
      if (others.length > 0 || services.size < RECORD_SERVICES_MAX) {
        services.set(name.service, others);
        others.push({ ...name, storedAtMs });
        // Numbers have 6 to 12 digits, so the order of names is not theirs.
        if (others.length > 2 * RECORDS_OF_SERVICE_MAX) {
          keepNewest(others);
        }
      }
    }
    return [...services.values()].flatMap((others) => keepNewest(others));
  }

  async #get(key: ObjectKey, signal: AbortSignal): Promise<'known' | 'gone'> {
    if (this.#known.has(key)) {
      return 'known';
    }
    try {
      const object = await this.#base.store.get(key, signal);
      if (object === undefined) {
        return 'gone';
      }
      this.#known.set(key, decodeRecord(this.#base.keys, key, object));
    } catch (error) {
      if (!isFault(error, 'vault.record-unreadable') && !isFault(error, 'store.denied')) {
        throw error;
      }
      this.#log.warn('vault.record-ignored', { key, why: error.message });
      this.#known.set(key, undefined);
    }
    return 'known';
  }

  #forgetAllBut(names: readonly RecordName[]): void {
    const listed = new Set(names.map(({ key }) => key));
    for (const key of this.#known.keys()) {
      if (!listed.has(key)) {
        this.#known.delete(key);
      }
    }
  }
}

/** Sorts by number, and drops all but the newest that are read. */
function keepNewest(names: ListedName[]): ListedName[] {
  names.sort((a, b) => a.number - b.number || (a.key < b.key ? -1 : 1));
  names.splice(0, Math.max(0, names.length - RECORDS_OF_SERVICE_MAX));
  return names;
}
