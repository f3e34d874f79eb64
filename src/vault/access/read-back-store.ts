import assert from 'node:assert/strict';
import type { Clock } from '../../kernel/clock.ts';
import { Fault, isFault } from '../../kernel/fault.ts';
import { readAliases } from '../packs/aliases.ts';
import { Malformed } from '../bytes/binary.ts';
import { readHold, readHoldEnd } from '../points/holds.ts';
import { decodeControl } from '../control/control-object.ts';
import { decodeSlotSet } from '../points/excluded-slots.ts';
import { decodeFormat, type VaultFormat } from '../control/format-object.ts';
import { decodeKeyObject } from '../keys/key-object.ts';
import {
  numberOf,
  parseHoldKey,
  parsePackKey,
  parsePointKey,
  parseRetireKey,
  parseRetireRequestKey,
  PREFIXES,
} from '../format/object-names.ts';
import { parseRecordKey } from '../format/record-names.ts';
import { decodeRecord } from '../records/record-object.ts';
import { readKept } from '../lock/keep-log.ts';
import { locking } from '../store/locking-store.ts';
import type { ObjectKey, ObjectStore, PutOptions } from '../store/object-store.ts';
import { openEnd, type PackSecrets } from '../packs/pack-tail.ts';
import { decodePoint } from '../points/point-object.ts';
import { parseSealBody } from '../points/point-store.ts';
import { readCapabilities } from '../probe/probe-object.ts';
import { changeable } from '../control/read-only-store.ts';
import { readRequest, readRetired, readRetirement } from '../points/retirements.ts';
import { StoreLayer } from '../store/store-layer.ts';

type Reader = (secrets: PackSecrets, key: ObjectKey, object: Uint8Array) => unknown;

/** `fmt/<n>-<rand>.retired`, `gc/<n>-<rand>.done`, `bad/<n>-<rand>.<rand>.done`. */
const LONGER = /(?:\.[0-9a-f]{32})?\.done$|\.retired$/;
const TRIAL = `${PREFIXES.probes}try-`;

/**
 * Passes objects on only if they can be read: decodes the very bytes that are put with the code
 * that will read them one day. Of packs it decodes the footer; frames were read back when they were
 * encrypted.
 */
class ReadBackStore extends StoreLayer {
  readonly #secrets: PackSecrets;

  constructor(store: ObjectStore, secrets: PackSecrets) {
    super(store);
    this.#secrets = secrets;
  }

  /** @throws Fault `vault.write-damaged` */
  override async put(
    key: ObjectKey,
    data: Uint8Array,
    signal: AbortSignal,
    options?: PutOptions,
  ): Promise<void> {
    requireReadable(this.#secrets, key, data);
    await this.store.put(key, data, signal, options);
  }
}

/** Returns the store through which a vault of this format is written. */
export function writableStore(
  store: ObjectStore,
  format: VaultFormat,
  clock: Clock,
  secrets: PackSecrets,
): ObjectStore {
  return new ReadBackStore(changeable(locking(store, format.lock, clock), format), secrets);
}

/** @throws Fault `vault.write-damaged` if nobody could read the object */
export function requireReadable(secrets: PackSecrets, key: ObjectKey, object: Uint8Array): void {
  if (key.startsWith(TRIAL)) {
    return;
  }
  const read = readerOf(key);
  assert(read !== undefined, `a vault has no object of the name ${key}`);
  try {
    read(secrets, key, object);
  } catch (error) {
    if (!isFault(error) && !(error instanceof Malformed)) {
      throw error;
    }
    throw new Fault(
      'vault.write-damaged',
      `The object ${key} was not sent, because it could not be read back from memory (${error.message}). Nothing in the vault was changed by it. Test this machine's memory, then try again.`,
      { key },
      { cause: error },
    );
  }
}

function readerOf(key: ObjectKey): Reader | undefined {
  const pack = parsePackKey(key);
  if (pack !== undefined) {
    return (secrets, _, tail) => openEnd(secrets, pack, { objectSize: tail.length, tail });
  }
  const point = parsePointKey(key);
  if (point !== undefined) {
    return point.isSeal
      ? ({ keys }, _, object) =>
          parseSealBody(key, point.id, decodeControl(keys, 'seal', key, object))
      : ({ keys }, _, object) => decodePoint(keys, point, object);
  }
  if (parseRetireKey(key) !== undefined) {
    return readRetirement;
  }
  if (parseRetireRequestKey(key) !== undefined) {
    return readRequest;
  }
  if (parseRecordKey(key) !== undefined) {
    return ({ keys }, _, object) => decodeRecord(keys, key, object);
  }
  const hold = parseHoldKey(key);
  return hold === undefined ? numberedReader(key) : hold.isEnd ? readHoldEnd : readHold;
}

const readFormat: Reader = ({ keys }, key, object) => decodeFormat(keys, key, object);
const slots =
  (kind: 'condemned' | 'bad' | 'done'): Reader =>
  (secrets, key, object) =>
    decodeSlotSet(secrets, kind, key, object);

/** By prefix: readers for `<n>-<rand>`, and for objects with a longer name of that kind. */
const NUMBERED: Readonly<Record<string, readonly [plain: Reader, longer?: Reader]>> = {
  [PREFIXES.format]: [readFormat, readRetired],
  [PREFIXES.keys]: [(_, key, object) => decodeKeyObject(key, object)],
  [PREFIXES.condemned]: [slots('condemned'), slots('done')],
  [PREFIXES.damaged]: [slots('bad'), slots('done')],
  [PREFIXES.aliases]: [readAliases],
  [PREFIXES.kept]: [readKept],
  [PREFIXES.probes]: [readCapabilities],
};

function numberedReader(key: ObjectKey): Reader | undefined {
  const list = key.replace(LONGER, '');
  const [plain, longer] = NUMBERED[key.slice(0, key.indexOf('/') + 1)] ?? [];
  return numberOf(list) === undefined ? undefined : list === key ? plain : longer;
}
