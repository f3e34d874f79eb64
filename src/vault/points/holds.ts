import { z } from 'zod';
import { Fault, isFault } from '../../kernel/fault.ts';
import type { Log } from '../../kernel/log.ts';
import { parseJson, demand } from '../bytes/binary.ts';
import { decodeControl, encodeControl, parseControlBody } from '../control/control-object.ts';
import { gone } from './excluded-slots.ts';
import { holdEndKey, holdKey, parseHoldKey, PREFIXES } from '../format/object-names.ts';
import { HOLD_REASON_CHARACTERS_MAX } from '../format/limits.ts';
import { getOrDamage } from '../format/object-limit.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import type { PointStore } from './point-store.ts';
import { requireCurrentRetention } from '../control/retention-check.ts';
import type { PointName } from './retirements.ts';
import { decodeSigned, encodeSigned } from '../control/signed-object.ts';
import type { Ulid } from '../bytes/ulid.ts';

const HoldBody = z.object({
  point: z.string(),
  atMs: z.int().min(0),
  reason: z.string().max(HOLD_REASON_CHARACTERS_MAX),
});

/**
 * A hold in force: while there is one, nobody retires the point and no collection takes its data.
 */
export interface Hold extends PointName {
  readonly key: ObjectKey;
  readonly atMs: number;
  readonly reason: string;
}

/** Which points are held: docs/vault-format.md, section 5. */
export class Holds {
  readonly #base: VaultBase;
  readonly #log: Log;
  /** Holds by key, undefined if they do not verify. Objects never change, so each is read once. */
  readonly #known = new Map<ObjectKey, Hold | undefined>();
  readonly #ended = new Map<ObjectKey, boolean>();

  constructor(base: VaultBase, log: Log) {
    this.#base = base;
    this.#log = log;
  }

  /**
   * Lists the holds in force, or only those on points of one VM. A collector calls this after it
   * has listed `retire/`.
   */
  async list(signal: AbortSignal, vmId?: string): Promise<Hold[]> {
    const holds: Hold[] = [];
    const ends = new Set<ObjectKey>();
    const keys: ObjectKey[] = [];
    const prefix = vmId === undefined ? PREFIXES.holds : `${PREFIXES.holds}${vmId}/`;
    for await (const { key } of this.#base.store.list(prefix, signal)) {
      const name = parseHoldKey(key);
      if (name?.isEnd === true) {
        ends.add(key);
      } else if (name !== undefined) {
        keys.push(key);
      }
    }
    for (const key of keys) {
      const hold = await this.#hold(key, signal);
      if (hold === undefined && !this.#known.has(key)) {
        throw gone(key);
      }
      const end = holdEndKey(key);
      if (hold !== undefined && !(ends.has(end) && (await this.#isEnd(end, signal)))) {
        holds.push(hold);
      }
    }
    return holds;
  }

  /** Reads a hold by its key, without lists. Returns undefined if it is not in force. */
  async inForce(key: ObjectKey, signal: AbortSignal): Promise<Hold | undefined> {
    const hold = parseHoldKey(key)?.isEnd === false ? await this.#hold(key, signal) : undefined;
    return hold === undefined || (await this.#isEnd(holdEndKey(key), signal)) ? undefined : hold;
  }

  /**
   * Holds a point. The hold counts only once this has returned.
   * @throws Fault `vault.point-not-found`; `vault.point-retired` if the point was retired first
   */
  async hold(
    points: PointStore,
    { vmId, id }: PointName,
    why: { readonly reason: string; readonly atMs: number },
    signal: AbortSignal,
  ): Promise<Hold> {
    refuseReason(why.reason);
    await points.load({ vmId, id }, signal);
    const key = holdKey(vmId, id);
    const body = Buffer.from(JSON.stringify({ point: id, ...why }));
    await this.#base.store.put(key, encodeControl(this.#base.keys, 'hold', key, body), signal);
    const hold = await this.#hold(key, signal);
    if (hold === undefined) {
      throw notHeld(key, id);
    }
    // W4.a. From now on every program that retires the point finds the hold, and every collector
    // that sees the retirement sees the hold too.
    if ((await points.standing({ vmId, id }, signal)) !== 'stands') {
      throw new Fault(
        'vault.point-retired',
        `The recovery point ${id} was retired before it could be held. Bring it back first (revive), then hold the new point.`,
        { point: id },
      );
    }
    return hold;
  }

  /**
   * Ends one hold; others on the same point stay.
   * @throws Fault `vault.retention-key-missing`, `vault.key-outdated`
   */
  async release({ key, id }: Hold, atMs: number, signal: AbortSignal): Promise<void> {
    const end = holdEndKey(key);
    const body = Buffer.from(JSON.stringify({ point: id, atMs, reason: '' }));
    await this.#base.store.put(end, encodeSigned(this.#base.keys, 'hold-end', end, body), signal);
    await requireCurrentRetention(this.#base, signal);
    this.#ended.set(end, true);
  }

  async #hold(key: ObjectKey, signal: AbortSignal): Promise<Hold | undefined> {
    if (!this.#known.has(key)) {
      const object = await getOrDamage(this.#base.store, key, signal);
      if (object === undefined) {
        return undefined;
      }
      this.#known.set(
        key,
        this.#verified(key, object, (whole) => readHold(this.#base, key, whole)),
      );
    }
    return this.#known.get(key);
  }

  async #isEnd(key: ObjectKey, signal: AbortSignal): Promise<boolean> {
    const known = this.#ended.get(key);
    if (known !== undefined) {
      return known;
    }
    const object = await getOrDamage(this.#base.store, key, signal);
    const ended =
      object !== undefined &&
      this.#verified(key, object, (whole) => {
        readHoldEnd(this.#base, key, whole);
        return true;
      }) === true;
    if (object !== undefined) {
      this.#ended.set(key, ended);
    }
    return ended;
  }

  #verified<T>(
    key: ObjectKey,
    object: Uint8Array | Fault,
    read: (whole: Uint8Array) => T | undefined,
  ): T | undefined {
    try {
      if (isFault(object)) {
        throw object;
      }
      return read(object);
    } catch (error) {
      if (!isFault(error)) {
        throw error;
      }
      // Only a key holder can make or end a hold; any other object is ignored and reported.
      this.#log.warn('vault.hold-ignored', { key, code: error.code });
      return undefined;
    }
  }
}

type Secrets = Pick<VaultBase, 'keys'>;

/** @throws Fault `vault.control-corrupt`, `vault.format-newer` */
export function readHold({ keys }: Secrets, key: ObjectKey, object: Uint8Array): Hold {
  const { name, atMs, reason } = parseBody(key, decodeControl(keys, 'hold', key, object));
  return { ...name, key, atMs, reason };
}

/** @throws Fault `vault.control-corrupt`, `vault.format-newer` */
export function readHoldEnd({ keys }: Secrets, key: ObjectKey, object: Uint8Array): void {
  parseBody(key, decodeSigned(keys, 'hold-end', key, object));
}

function parseBody(
  key: ObjectKey,
  body: Uint8Array,
): z.infer<typeof HoldBody> & { readonly name: PointName } {
  return parseControlBody(key, () => {
    const parsed = HoldBody.safeParse(parseJson(body));
    demand(parsed.success, 'it has another form');
    const name = parseHoldKey(key);
    demand(name?.id === parsed.data.point, 'it is of another point');
    return { ...parsed.data, name: { vmId: name.vmId, id: name.id } };
  });
}

/** Checks the reason before anything is written. @throws Fault `request.invalid` */
function refuseReason(reason: string): void {
  if (reason.length > HOLD_REASON_CHARACTERS_MAX) {
    throw new Fault(
      'request.invalid',
      `The reason of a hold has at most ${HOLD_REASON_CHARACTERS_MAX} characters, and this one has ${reason.length}. Nothing is held; give a shorter reason.`,
    );
  }
}

function notHeld(key: ObjectKey, id: Ulid): Fault {
  return new Fault(
    'vault.control-corrupt',
    `The recovery point ${id} is not held: the store does not give the hold ${key} back as it was put. Check the store, then hold it again.`,
    { key, point: id },
  );
}
