import { Fault } from '../../kernel/fault.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { OBJECT_NUMBER_MAX } from './limits.ts';
import { randomSuffix } from './object-names.ts';

/** Names and limits of docs/service-records.md. */

export const RECORD_PREFIX = 'cat/';
/** Size of the JSON of a record. */
export const RECORD_JSON_BYTES_MAX = 4 * 1024 * 1024;
/** With header and tag. */
export const RECORD_OBJECT_BYTES_MAX = RECORD_JSON_BYTES_MAX + 32 + 16;
/** Points of a record, whether given up or being read. */
export const RECORD_POINTS_MAX = 16_384;
/** Each text of a record, in UTF-16 code units. */
export const RECORD_TEXT_CHARACTERS_MAX = 256;
/** So many records of a service are read: those with the highest numbers. */
export const RECORDS_OF_SERVICE_MAX = 256;
/** So many services are read: the first by their ids. */
export const RECORD_SERVICES_MAX = 256;

const RECORD = /^cat\/([0-9a-z][0-9a-z-]{0,63})\/(\d{6,12})-[0-9a-f]{32}$/;

export interface RecordName {
  readonly key: ObjectKey;
  /** Id of the service that writes under this name. */
  readonly service: string;
  /** Sequence among the records of the service. */
  readonly number: number;
}

/** Returns an id for a program that is no service and writes records for as long as it runs. */
export function passingServiceId(): string {
  return `rescue-${randomSuffix()}`;
}

export function recordPrefix(service: string): string {
  return `${RECORD_PREFIX}${service}/`;
}

/** @throws Fault `vault.limit-reached` if no number is left */
export function recordKey(service: string, number: number): ObjectKey {
  if (number > OBJECT_NUMBER_MAX) {
    throw new Fault(
      'vault.limit-reached',
      `There is an object under ${recordPrefix(service)} with the highest number that a name can have, so none can follow it. Nothing was written; remove it, and look who put it there.`,
    );
  }
  return `${recordPrefix(service)}${String(number).padStart(6, '0')}-${randomSuffix()}`;
}

/** Returns undefined for what is no name of a record. */
export function parseRecordKey(key: ObjectKey): RecordName | undefined {
  const [, service, digits] = RECORD.exec(key) ?? [];
  return service === undefined ? undefined : { key, service, number: Number(digits) };
}
