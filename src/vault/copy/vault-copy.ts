import type { Clock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import { parsePackKey, parsePointKey, PREFIXES, sealKey } from '../layout.ts';
import type { ObjectKey, ObjectStore } from '../object-store.ts';
import { Parallel } from '../parallel.ts';
import type { Running } from '../vault-options.ts';
import { checkPlaces, keysOf, refuseCollected } from './copy-place.ts';
import { ObjectSender } from './object-sender.ts';
import { pairedListing, type PairedEntry } from './paired-listing.ts';
import { Throttle } from './throttle.ts';

/** Objects above this go two at a time, smaller ones in a wider lane. */
const LARGE_BYTES = 1024 * 1024;
const LARGE_AT_ONCE = 2;
const SMALL_AT_ONCE = 16;
/** Listings of packs until none vanishes while it is read. */
const PASSES_MAX = 8;
const DAMAGED_NAMED_MAX = 100;
const SEAL = /[.]ok$/;

const PACK_PREFIXES = [PREFIXES.metadata, PREFIXES.data] as const;
/** In the order in which they are written: what explains a later object stands before it. */
const CONTROL_PREFIXES = [
  PREFIXES.retired,
  PREFIXES.condemned,
  PREFIXES.damaged,
  'alias/',
  'hold/',
] as const;

export interface CopyOptions {
  readonly source: ObjectStore;
  readonly target: ObjectStore;
  readonly clock: Clock;
  /** On average; default: as fast as it goes. */
  readonly bytesPerSecond?: number;
  /** Reads back every object that was sent and compares it. */
  readonly readBack?: boolean;
  readonly throttle?: Throttle;
}

export interface CopyAmount {
  readonly objects: number;
  readonly bytes: number;
}

/** What a copy would do. */
export interface CopyPlan {
  readonly vaultId: string;
  readonly missing: CopyAmount;
  readonly present: CopyAmount;
  /** Sealed points of the source that are not yet in the copy. */
  readonly points: number;
  /** Points of the copy that the source has never had or no longer has. */
  readonly pointsBeyond: number;
}

export interface CopyReport {
  readonly vaultId: string;
  readonly sent: CopyAmount;
  readonly points: number;
  readonly pointsBeyond: number;
  /** Listings that were needed until no pack vanished under them. */
  readonly passes: number;
  /**
   * Objects that are not what they should be, at most 100: packs that do not match their checksums in
   * the source, copied as they are, and objects of another size in the target, left as they are
   * unless the source's is a whole pack.
   */
  readonly damaged: readonly ObjectKey[];
}

/**
 * Makes and refreshes a replica of a vault in another store by plain objects, without any key, while
 * others write to the source and collect in it. Order and reasons: docs/vault-format.md, section 15.
 *
 * Killed anywhere, the copy is a vault whose points are whole; the next run sends what is missing.
 */
export class VaultCopy {
  readonly #options: CopyOptions;
  readonly #sender: ObjectSender;
  readonly #damaged = new Set<ObjectKey>();
  #sent = { objects: 0, bytes: 0 };
  #totalBytes = 0;

  constructor(options: CopyOptions) {
    const { source, target, clock, bytesPerSecond, readBack = false } = options;
    this.#options = options;
    const throttle = options.throttle ?? new Throttle(bytesPerSecond, clock);
    this.#sender = new ObjectSender({ source, target, throttle, readBack });
  }

  /**
   * Compares the two places by name and size. Reads nothing but names.
   * @throws Fault as `run` does before it writes
   */
  async plan({ signal, report }: Running): Promise<CopyPlan> {
    const { source, target } = this.#options;
    const vaultId = await checkPlaces(source, target, signal);
    await refuseCollected(source, target, signal);
    const missing = { objects: 0, bytes: 0 };
    const present = { objects: 0, bytes: 0 };
    const { sealed, copied, beyond } = await this.#points(signal);
    const prefixes = [
      PREFIXES.keys,
      PREFIXES.format,
      ...PACK_PREFIXES,
      ...CONTROL_PREFIXES,
      PREFIXES.points,
    ];
    for (const prefix of prefixes) {
      for await (const { key, sourceBytes, targetBytes } of pairedListing(
        source,
        target,
        prefix,
        signal,
      )) {
        if (sourceBytes === undefined || !this.#belongs(key, sealed)) {
          continue;
        }
        const amount = sourceBytes === targetBytes ? present : missing;
        amount.objects += 1;
        amount.bytes += sourceBytes;
        report?.({ phase: 'listing', doneBytes: present.bytes + missing.bytes, totalBytes: 0 });
      }
    }
    const points = [...sealed].filter((key) => !copied.has(key)).length;
    return { vaultId, missing, present, points, pointsBeyond: beyond };
  }

  /**
   * Brings the target to a state of the source that is at least as new as the start of this call.
   * @throws Fault `copy.same-place`, `copy.other-vault`, `copy.target-collected`, `copy.overtaken`,
   *   `copy.wrong-object`, `vault.not-found`, `vault.not-empty`
   */
  async run(running: Running): Promise<CopyReport> {
    const { source, target } = this.#options;
    const { signal } = running;
    const { vaultId, missing } = await this.plan(running);
    this.#totalBytes = missing.bytes;
    // Their packs were put before them, so any later listing of packs has all that they need.
    const { sealed } = await this.#points(signal);
    await target.makePlace(signal);
    // After a rotation the new format needs the new key objects.
    await this.#sendAll([PREFIXES.keys], running);
    await this.#sendAll([PREFIXES.format], running);
    const passes = await this.#sendPacks(running);
    await this.#sendControl(running);
    const copied = await this.#sendPoints(sealed, running);
    // As a writer does after W1: who condemned something before it saw these points shows now.
    await refuseCollected(source, target, signal);
    for (const key of copied) {
      await this.#sendPlain(`${key}.ok`, running);
    }
    const { copied: there, beyond } = await this.#points(signal);
    const points = [...sealed].filter((key) => there.has(key)).length;
    return {
      vaultId,
      sent: { ...this.#sent },
      points,
      pointsBeyond: beyond,
      passes,
      damaged: [...this.#damaged],
    };
  }

  /** Sealed points of both sides, by their keys. */
  async #points(
    signal: AbortSignal,
  ): Promise<{ sealed: Set<ObjectKey>; copied: Set<ObjectKey>; beyond: number }> {
    const { source, target } = this.#options;
    // The target first: a point it has and the source, listed later, has not, did not just arrive.
    const copied = sealedOf(await keysOf(target, PREFIXES.points, signal));
    const sealed = sealedOf(await keysOf(source, PREFIXES.points, signal));
    const beyond = [...copied].filter((key) => !sealed.has(key)).length;
    return { sealed, copied, beyond };
  }

  #belongs(key: ObjectKey, sealed: ReadonlySet<ObjectKey>): boolean {
    const point = parsePointKey(key);
    return point === undefined || sealed.has(key.replace(SEAL, ''));
  }

  /**
   * Copies packs until a whole listing went by in which none vanished. The last pass, which finds all
   * or almost all there, also sees the successors of packs that were replaced while the first one,
   * which may take days, had passed their place.
   */
  async #sendPacks(running: Running): Promise<number> {
    for (let pass = 1; pass <= PASSES_MAX; pass++) {
      const vanished = await this.#sendAll(PACK_PREFIXES, running);
      if (pass > 1 && vanished === 0) {
        return pass;
      }
    }
    throw new Fault(
      'copy.overtaken',
      'Packs kept vanishing from the source while they were copied: a collection is running there. What was copied stays; repeat when the collection has ended.',
    );
  }

  /**
   * What says that points or slots are given up. Listed in the opposite order of their causes, written in
   * the order of them: the target never shows a condemned slot whose retired point it does not know.
   */
  async #sendControl(running: Running): Promise<void> {
    const { source, target } = this.#options;
    const wanted: PairedEntry[][] = [];
    for (const prefix of CONTROL_PREFIXES.toReversed()) {
      const entries: PairedEntry[] = [];
      for await (const entry of pairedListing(source, target, prefix, running.signal)) {
        if (entry.sourceBytes !== undefined && entry.sourceBytes !== entry.targetBytes) {
          entries.push(entry);
        }
      }
      wanted.unshift(entries);
    }
    for (const entries of wanted) {
      const lane = new Parallel(SMALL_AT_ONCE);
      await inLane(lane, async () => {
        // A manifest before the note that it was carried out, which sorts behind it.
        for (const entry of entries.filter(({ key }) => !key.endsWith('.done'))) {
          await lane.add(async () => {
            await this.#send(entry, running);
          });
        }
      });
      for (const entry of entries.filter(({ key }) => key.endsWith('.done'))) {
        await this.#send(entry, running);
      }
    }
  }

  /** W1 in the target: from now on collectors there keep what these points need. */
  async #sendPoints(sealed: ReadonlySet<ObjectKey>, running: Running): Promise<ObjectKey[]> {
    const { source, target } = this.#options;
    const unsealed: ObjectKey[] = [];
    const lane = new Parallel(SMALL_AT_ONCE);
    await inLane(lane, async () => {
      for await (const entry of pairedListing(source, target, PREFIXES.points, running.signal)) {
        const { key, sourceBytes, targetBytes } = entry;
        if (sourceBytes === undefined) {
          continue;
        }
        if (sealed.has(key)) {
          if (sourceBytes !== targetBytes) {
            await lane.add(async () => {
              await this.#send(entry, running);
            });
          }
        } else if (targetBytes === undefined && sealed.has(key.replace(SEAL, ''))) {
          unsealed.push(key.replace(SEAL, ''));
        }
      }
    });
    return unsealed;
  }

  async #sendPlain(key: ObjectKey, running: Running): Promise<void> {
    const range = { offset: 0, length: 1 };
    const facts = await this.#options.source.getRange(key, range, running.signal);
    if (facts !== undefined) {
      await this.#send({ key, sourceBytes: facts.objectSize, targetBytes: undefined }, running);
    }
  }

  /** @returns how many objects vanished from the source between listing and reading */
  async #sendAll(prefixes: readonly string[], running: Running): Promise<number> {
    const { source, target } = this.#options;
    let vanished = 0;
    const large = new Parallel(LARGE_AT_ONCE);
    const small = new Parallel(SMALL_AT_ONCE);
    await inLane(large, () =>
      inLane(small, async () => {
        for (const prefix of prefixes) {
          for await (const entry of pairedListing(source, target, prefix, running.signal)) {
            const { key, sourceBytes, targetBytes } = entry;
            if (sourceBytes === undefined || sourceBytes === targetBytes || !isVaultObject(key)) {
              continue;
            }
            const lane = sourceBytes > LARGE_BYTES ? large : small;
            await lane.add(async () => {
              vanished += (await this.#send(entry, running)) ? 0 : 1;
            });
          }
        }
      }),
    );
    return vanished;
  }

  /** @returns whether the source still had it */
  async #send(
    { key, sourceBytes: size = 0, targetBytes }: PairedEntry,
    { signal, report }: Running,
  ): Promise<boolean> {
    signal.throwIfAborted();
    const sent = await this.#sender.send({ key, size }, targetBytes !== undefined, signal);
    if (sent === 'vanished') {
      return false;
    }
    if (sent !== 'whole' && this.#damaged.size < DAMAGED_NAMED_MAX) {
      this.#damaged.add(key);
    }
    if (sent !== 'kept') {
      const { objects, bytes } = this.#sent;
      this.#sent = { objects: objects + 1, bytes: bytes + size };
    }
    this.#totalBytes = Math.max(this.#totalBytes, this.#sent.bytes);
    report?.({ phase: 'copying', doneBytes: this.#sent.bytes, totalBytes: this.#totalBytes });
    return true;
  }
}

/** Runs `work`, which starts operations in the lane, and waits for all of them whatever happens. */
async function inLane(lane: Parallel, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    await lane.end();
  } finally {
    await lane.settle();
  }
}

/** Keys that are none of a vault's are not carried over: readers ignore them, too. */
function isVaultObject(key: ObjectKey): boolean {
  const isPack = key.startsWith(PREFIXES.data) || key.startsWith(PREFIXES.metadata);
  return !isPack || parsePackKey(key) !== undefined;
}

function sealedOf(keys: ReadonlySet<ObjectKey>): Set<ObjectKey> {
  const sealed = new Set<ObjectKey>();
  for (const key of keys) {
    const point = parsePointKey(key);
    if (point?.isSeal === false && keys.has(sealKey(point.vmId, point.id))) {
      sealed.add(key);
    }
  }
  return sealed;
}
