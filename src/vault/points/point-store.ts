import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Fault, isFault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { parseJson, parseOr } from '../bytes/binary.ts';
import { decodeControl, encodeControl } from '../control/control-object.ts';
import { pointKey, sealKey } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { damagedPoint, decodePoint, encodePoint, type PointDocument } from './point-object.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import { listPointNames, onlySeal } from './point-names.ts';
import { byContent } from './point-order.ts';
import type { OpenedVault } from '../control/opened-vault.ts';
import { Lru } from '../../kernel/memory/lru.ts';
import type { RecoveryPoint } from './recovery-point.ts';
import type { Ulid } from '../bytes/ulid.ts';
import { Retirements, type PointName, type Standing } from './retirements.ts';

const POINTS_AT_ONCE = 16;
/** About 20,000 usual points. */
const POINTS_BYTES_MAX = 64 * 1024 * 1024;
const SealBody = z.object({ point: z.string(), sha256: z.string() });

/** A point with everything needed to restore it and to build on it. */
export interface StoredPoint {
  readonly point: RecoveryPoint;
  readonly document: PointDocument;
  /** MAC of the whole object, for the child's parent link. */
  readonly mac: string;
}

/** Recovery points, their seals, and the points that were retired. */
export class PointStore {
  readonly #base: VaultBase;
  readonly #log: Log;
  readonly #retirements: Retirements;
  readonly #opened: OpenedVault | undefined;
  readonly #known: Lru<ObjectKey, StoredPoint>;

  /**
   * @param opened needed for sealing points
   * @param bytesMax limit for points kept in memory, as stored; others are read again
   */
  constructor(base: VaultBase, log: Log, opened?: OpenedVault, bytesMax = POINTS_BYTES_MAX) {
    this.#known = new Lru(bytesMax);
    this.#opened = opened;
    this.#base = base;
    this.#log = log;
    this.#retirements = new Retirements(base, log);
  }

  /** Lists the names of sealed points, oldest first; none of them is verified. */
  async sealed(signal: AbortSignal, vmId?: string): Promise<PointName[]> {
    return (await listPointNames(this.#base.store, signal, vmId)).sealed;
  }

  /** Lists sealed points of which only the seal is left although nobody gave them up. */
  async lost(signal: AbortSignal, vmId?: string): Promise<readonly PointName[]> {
    const retired = await this.retired(signal, vmId);
    const { strays } = await listPointNames(this.#base.store, signal, vmId);
    return (await this.#sought(strays, retired, signal)).lost;
  }

  /**
   * Asks by key for points that have a seal and were not listed: a point may have come during the
   * listing, be on its way out, be left out of the list, or be lost.
   */
  async #sought(
    strays: readonly PointName[],
    retired: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<{ readonly there: readonly PointName[]; readonly lost: readonly PointName[] }> {
    const there: PointName[] = [];
    const lost: PointName[] = [];
    for (const name of strays.filter(({ id }) => !retired.has(id))) {
      const seal = sealKey(name.vmId, name.id);
      const isThere = await this.exists(name, signal);
      if (!(await this.#has(seal, signal)) || (await this.isRetired(name, signal))) {
        continue;
      }
      (isThere ? there : lost).push(name);
    }
    return { there, lost };
  }

  /** Lists the points that count, oldest content first. Damaged ones are logged and left out. */
  async list(signal: AbortSignal, vmId?: string): Promise<RecoveryPoint[]> {
    const retired = await this.retired(signal, vmId);
    const { sealed, strays } = await listPointNames(this.#base.store, signal, vmId);
    const { there, lost } = await this.#sought(strays, retired, signal);
    for (const name of lost) {
      this.#skip(name, onlySeal(name));
    }
    const names = [...sealed.filter(({ id }) => !retired.has(id)), ...there];
    const points = await mapAtOnce(names, POINTS_AT_ONCE, async (name) => {
      try {
        return (await this.load(name, signal)).point;
      } catch (error) {
        this.#skip(name, error);
        return undefined;
      }
    });
    return points.filter((point) => point !== undefined).sort(byContent);
  }

  /**
   * Returns the points that `list` leaves out because they cannot be read, and why: they are
   * sealed, and nobody gave them up.
   */
  async unreadable(
    signal: AbortSignal,
    vmId?: string,
  ): Promise<{ readonly name: PointName; readonly fault: Fault }[]> {
    const retired = await this.retired(signal, vmId);
    const { sealed, strays } = await listPointNames(this.#base.store, signal, vmId);
    const { there, lost } = await this.#sought(strays, retired, signal);
    const found = lost.map((name) => ({ name, fault: onlySeal(name) }));
    for (const name of [...sealed, ...there]) {
      try {
        await (retired.has(name.id) ? undefined : this.load(name, signal));
      } catch (error) {
        // The point is gone: somebody is removing it, which is no damage.
        if (!isFault(error) || (error.kind !== 'integrity' && error.kind !== 'not-found')) {
          throw error;
        }
        if (error.kind === 'integrity') {
          found.push({ name, fault: error });
        }
      }
    }
    return found;
  }

  /** Loads a point. Returns undefined if it was given up, or if it is damaged, which is logged. */
  async loadStanding(name: PointName, signal: AbortSignal): Promise<StoredPoint | undefined> {
    if ((await this.standing(name, signal)) !== 'stands') {
      return undefined;
    }
    try {
      return await this.load(name, signal);
    } catch (error) {
      this.#skip(name, error);
      return undefined;
    }
  }

  /** @throws Fault `vault.point-not-found`, `vault.point-corrupt`, `vault.control-corrupt` */
  async load(name: PointName, signal: AbortSignal): Promise<StoredPoint> {
    const key = pointKey(name.vmId, name.id);
    const known = this.#known.get(key);
    if (known !== undefined) {
      return known;
    }
    const { store, keys } = this.#base;
    const [object, seal] = await Promise.all([
      store.get(key, signal),
      store.get(sealKey(name.vmId, name.id), signal),
    ]);
    if (object === undefined || seal === undefined) {
      throw notFound(name.id);
    }
    const sealBody = this.#parseSeal(name, seal);
    if (sealBody.sha256 !== sha256(object)) {
      throw damagedPoint(key, 'it is not the one that was sealed');
    }
    const document = decodePoint(keys, name, object);
    const stored = { point: toPoint(document), document, mac: this.mac(object) };
    this.#known.set(key, stored, object.length);
    return stored;
  }

  /** Whether the point was given up by somebody with the right to do so. */
  async isRetired(name: PointName, signal: AbortSignal): Promise<boolean> {
    return (await this.standing(name, signal)) === 'retired';
  }

  /** Tells a writer whether it can build on a point: only if it `stands`. */
  async standing(name: PointName, signal: AbortSignal): Promise<Standing> {
    return this.#retirements.standing(name, signal);
  }

  /** Returns the ids of all retired points, after listing `retire/` to its end. */
  async retired(signal: AbortSignal, vmId?: string): Promise<Set<string>> {
    return this.#retirements.all(signal, vmId);
  }

  /** Returns the retired points with their VMs. */
  async retiredNames(signal: AbortSignal): Promise<PointName[]> {
    return this.#retirements.names(signal);
  }

  async exists({ vmId, id }: PointName, signal: AbortSignal): Promise<boolean> {
    return this.#has(pointKey(vmId, id), signal);
  }

  async #has(key: ObjectKey, signal: AbortSignal): Promise<boolean> {
    const range = { offset: 0, length: 1 };
    return (await this.#base.store.getRange(key, range, signal)) !== undefined;
  }

  /**
   * Does W1.d: from now on collectors count the point as a root, but it is no recovery point yet.
   */
  async put(document: PointDocument, signal: AbortSignal): Promise<Uint8Array> {
    const object = encodePoint(this.#base.keys, document);
    await this.#base.store.put(pointKey(document.vmId, document.id), object, signal);
    return object;
  }

  /**
   * Does W3.a and W3.b. If the point was retired meanwhile, that wins, and so does a request to
   * retire it: whoever asked may not have seen the seal, and requests are answered only after a
   * look for the seal. Proves first that the vault is at its place.
   */
  async seal(
    document: PointDocument,
    object: Uint8Array,
    signal: AbortSignal,
  ): Promise<StoredPoint> {
    assert(this.#opened !== undefined, 'who seals points proves where');
    // W3.a.
    await this.#opened.proveAgain(signal);
    const key = sealKey(document.vmId, document.id);
    const body = Buffer.from(JSON.stringify({ point: document.id, sha256: sha256(object) }));
    await this.#base.store.put(key, encodeControl(this.#base.keys, 'seal', key, body), signal);
    if (
      (await this.isRetired(document, signal)) ||
      (await this.#retirements.isAsked(document, signal))
    ) {
      throw new Fault(
        'vault.point-retired',
        `The recovery point ${document.id} was retired while it was being written. Back up again.`,
        { point: document.id },
      );
    }
    const stored = { point: toPoint(document), document, mac: this.mac(object) };
    this.#known.set(pointKey(document.vmId, document.id), stored, object.length);
    return stored;
  }

  /**
   * Gives a point up for good; doing it twice changes nothing.
   * @throws Fault `vault.retention-key-missing`
   */
  async retire(name: PointName, atMs: number, signal: AbortSignal): Promise<void> {
    await this.#retirements.retire(name, atMs, signal);
  }

  /**
   * Asks the holders of the retention key to retire a point that the caller wrote and will never
   * seal.
   */
  async ask(name: PointName, atMs: number, signal: AbortSignal): Promise<void> {
    await this.#retirements.ask(name, atMs, signal);
  }

  /** Gives up a point that the caller wrote and will never seal, as firmly as its keys allow. */
  async giveUp(name: PointName, atMs: number, signal: AbortSignal): Promise<void> {
    if (this.#base.keys.retention.canSign) {
      await this.retire(name, atMs, signal);
    } else {
      await this.ask(name, atMs, signal);
    }
  }

  /**
   * Retires the unsealed points whose writers asked for it. A collector calls this before it lists
   * `retire/`.
   * @returns the points that it retired
   * @throws Fault `vault.retention-key-missing` if there is any point to retire
   */
  async answerRequests(atMs: number, signal: AbortSignal): Promise<PointName[]> {
    const retired: PointName[] = [];
    for (const name of await this.#retirements.asked(signal)) {
      const isSealed = await this.#has(sealKey(name.vmId, name.id), signal);
      if (!isSealed && (await this.exists(name, signal))) {
        await this.retire(name, atMs, signal);
        retired.push(name);
      }
    }
    return retired;
  }

  /**
   * Proves that the parent, if it is there, is the one that the point was made from. A parent that
   * was given up may be gone. A parent that is gone and was not given up is logged; this point does
   * not need it.
   * @throws Fault `vault.point-corrupt`
   */
  async proveParent({ vmId, id, parent }: PointDocument, signal: AbortSignal): Promise<void> {
    if (parent === undefined) {
      return;
    }
    const name = { vmId, id: parent.id };
    let mac: string | undefined;
    try {
      mac = (await this.load(name, signal)).mac;
    } catch (error) {
      if (!isFault(error, 'vault.point-not-found')) {
        // Verifying the parent reports its damage; this point does not need it.
        this.#skip(name, error);
      } else if (!(await this.isRetired(name, signal))) {
        this.#log.warn('vault.parent-missing', {
          vmId,
          pointId: id,
          parent: parent.id,
          means: 'nobody gave it up: points were removed from the store itself',
        });
      }
    }
    if (mac !== undefined && mac !== parent.mac) {
      const key = pointKey(vmId, parent.id);
      throw damagedPoint(key, `it is not the point from which ${id} was made`);
    }
  }

  mac(object: Uint8Array): string {
    return this.#base.keys.mac16('point', object).toString('hex');
  }

  #parseSeal({ vmId, id }: PointName, object: Uint8Array): z.infer<typeof SealBody> {
    const key = sealKey(vmId, id);
    const body = decodeControl(this.#base.keys, 'seal', key, object);
    return parseSealBody(key, id, body);
  }

  #skip({ vmId, id }: PointName, error: unknown): void {
    if (!isFault(error) || (error.kind !== 'integrity' && error.kind !== 'not-found')) {
      throw error;
    }
    // One damaged point must not hide the others; loading it by id throws the fault.
    this.#log.error('vault.point-damaged', { vmId, pointId: id, code: error.code });
  }
}

/** @throws Fault `vault.point-corrupt` */
export function parseSealBody(
  key: ObjectKey,
  id: Ulid,
  body: Uint8Array,
): z.infer<typeof SealBody> {
  const json = parseOr(
    (why, cause) => damagedPoint(key, `of its seal, ${why}`, cause),
    () => parseJson(body),
  );
  const parsed = SealBody.safeParse(json);
  if (!parsed.success || parsed.data.point !== id) {
    throw damagedPoint(key, 'its seal is of another point');
  }
  return parsed.data;
}

export function notFound(id: string): Fault {
  return new Fault(
    'vault.point-not-found',
    `There is no recovery point ${id} in this vault. List the points to see what there is.`,
    { point: id },
  );
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

function toPoint(document: PointDocument): RecoveryPoint {
  const { parent, disks, files, origin, ...rest } = document;
  return {
    ...rest,
    configuration: rest.configuration,
    ...(parent === undefined ? {} : { parentId: parent.id }),
    disks: disks.map(({ diskId, name, sizeBytes, method, reason, tracking, statistics }) => ({
      diskId,
      name,
      sizeBytes,
      method,
      statistics,
      ...(reason === undefined ? {} : { reason }),
      ...(tracking === undefined ? {} : { tracking }),
    })),
    files: files.map(({ name, sizeBytes }) => ({ name, sizeBytes })),
    ...(origin === undefined ? {} : { origin }),
  };
}
