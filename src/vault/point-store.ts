import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Fault, isFault } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { parseJson, parseOr } from './binary.ts';
import { decodeControl, encodeControl } from './control-object.ts';
import { pointKey, sealKey } from './layout.ts';
import type { ObjectKey } from './object-store.ts';
import { damagedPoint, decodePoint, encodePoint, type PointDocument } from './point-object.ts';
import type { VaultBase } from './packs.ts';
import { listPointNames, onlySeal } from './point-names.ts';
import { byContent } from './point-order.ts';
import type { OpenedVault } from './presence/opened-vault.ts';
import { Recent } from './recent.ts';
import type { RecoveryPoint } from './recovery-point.ts';
import type { Ulid } from './ulid.ts';
import { Retirements, type PointName, type Standing } from './retirements.ts';

const POINTS_AT_ONCE = 16;
/** Some 20,000 usual points. */
const POINTS_BYTES_MAX = 64 * 1024 * 1024;
const SealBody = z.object({ point: z.string(), sha256: z.string() });

/** A point with everything that is needed to restore it and to build on it. */
export interface StoredPoint {
  readonly point: RecoveryPoint;
  readonly document: PointDocument;
  /** MAC of the whole object, for the child's parent link. */
  readonly mac: string;
}

/** Recovery points, their seals and what was retired. */
export class PointStore {
  readonly #base: VaultBase;
  readonly #log: Log;
  readonly #retirements: Retirements;
  readonly #opened: OpenedVault | undefined;
  readonly #known: Recent<ObjectKey, StoredPoint>;

  /**
   * @param opened for who seals points
   * @param bytesMax of the points that are kept in memory, as they are stored; others are read
   * again
   */
  constructor(base: VaultBase, log: Log, opened?: OpenedVault, bytesMax = POINTS_BYTES_MAX) {
    this.#known = new Recent(bytesMax);
    this.#opened = opened;
    this.#base = base;
    this.#log = log;
    this.#retirements = new Retirements(base, log);
  }

  /** Names of sealed points, oldest first; nothing of them was verified yet. */
  async sealed(signal: AbortSignal, vmId?: string): Promise<PointName[]> {
    return (await listPointNames(this.#base.store, signal, vmId)).sealed;
  }

  /** Sealed points of which only the seal is left, although nobody gave them up. */
  async lost(signal: AbortSignal, vmId?: string): Promise<readonly PointName[]> {
    const retired = await this.retired(signal, vmId);
    const { strays } = await listPointNames(this.#base.store, signal, vmId);
    return (await this.#sought(strays, retired, signal)).lost;
  }

  /**
   * Seals whose points the list did not show, asked for by their keys: a point may have come while
   * the list was read, be on its way out, be left out, or be lost.
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

  /** Points that count, oldest content first. Damaged ones are left out and logged. */
  async list(signal: AbortSignal, vmId?: string): Promise<RecoveryPoint[]> {
    const retired = await this.retired(signal, vmId);
    const { sealed, strays } = await listPointNames(this.#base.store, signal, vmId);
    const { there, lost } = await this.#sought(strays, retired, signal);
    for (const name of lost) {
      this.#skip(name, onlySeal(name));
    }
    const names = [...sealed.filter(({ id }) => !retired.has(id)), ...there];
    const points: RecoveryPoint[] = [];
    for (let at = 0; at < names.length; at += POINTS_AT_ONCE) {
      const some = names.slice(at, at + POINTS_AT_ONCE);
      const loaded = await Promise.all(
        some.map(async (name) => {
          try {
            return (await this.load(name, signal)).point;
          } catch (error) {
            this.#skip(name, error);
            return undefined;
          }
        }),
      );
      points.push(...loaded.filter((point) => point !== undefined));
    }
    return points.sort(byContent);
  }

  /** What `list` leaves out: sealed points that nobody gave up and that cannot be read, and why. */
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
        // Gone by now: somebody removes it, which is no damage.
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

  /** The point, unless it was given up or is damaged, which is logged. */
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

  /** Whether the point was given up by somebody who may. */
  async isRetired(name: PointName, signal: AbortSignal): Promise<boolean> {
    return (await this.standing(name, signal)) === 'retired';
  }

  /** For whoever wants to build on a point: only one that stands will do. */
  async standing(name: PointName, signal: AbortSignal): Promise<Standing> {
    return this.#retirements.standing(name, signal);
  }

  /** Ids of all retired points. `retire/` is listed to its end when it returns. */
  async retired(signal: AbortSignal, vmId?: string): Promise<Set<string>> {
    return this.#retirements.all(signal, vmId);
  }

  /** The same with their VMs. */
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

  /** W1: from now on the collector counts it as a root, but it is no recovery point yet. */
  async put(document: PointDocument, signal: AbortSignal): Promise<Uint8Array> {
    const object = encodePoint(this.#base.keys, document);
    await this.#base.store.put(pointKey(document.vmId, document.id), object, signal);
    return object;
  }

  /**
   * W3. Retired in the meantime wins, and so does a request: whoever asked may not have seen the
   * seal, and who answers requests looks for the seal only after that. The vault is proven to be at
   * its place first.
   */
  async seal(
    document: PointDocument,
    object: Uint8Array,
    signal: AbortSignal,
  ): Promise<StoredPoint> {
    assert(this.#opened !== undefined, 'who seals points proves where');
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
   * Gives a point up, for ever; a second time changes nothing.
   * @throws Fault `vault.retention-key-missing`
   */
  async retire(name: PointName, atMs: number, signal: AbortSignal): Promise<void> {
    await this.#retirements.retire(name, atMs, signal);
  }

  /** Asks who has the retention key to retire a point that the caller wrote and will never seal. */
  async ask(name: PointName, atMs: number, signal: AbortSignal): Promise<void> {
    await this.#retirements.ask(name, atMs, signal);
  }

  /** A writer gives up its own point, which it will never seal: as firmly as its keys allow. */
  async giveUp(name: PointName, atMs: number, signal: AbortSignal): Promise<void> {
    if (this.#base.keys.retention.canSign) {
      await this.retire(name, atMs, signal);
    } else {
      await this.ask(name, atMs, signal);
    }
  }

  /**
   * Retires the points that their writers asked to give up and that have no seal. For a collector,
   * before it lists `retire/`.
   * @returns the points that it retired
   * @throws Fault `vault.retention-key-missing` if there is anything to retire
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
   * Whether the parent that is there is the one a point was made from. One that was given up may be
   * gone; one that is gone and was not given up is told, but this point does not need it.
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
        // A parent that is damaged itself says so when it is verified; this point does not need it.
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
    // One damaged point must not hide the others; asking for it by id gives the fault.
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
  const { parent, disks, files, ...rest } = document;
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
  };
}
