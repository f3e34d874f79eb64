import type { Clock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import { limiterFor } from '../../kernel/rates/rate-limiter.ts';
import type { RateLimits } from '../../kernel/rates/rate-limits.ts';
import { parsePackKey, parsePointKey, PREFIXES } from '../format/object-names.ts';
import type { PointName } from '../points/retirements.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { Parallel } from '../../kernel/waiting/parallel.ts';
import type { Running } from '../../kernel/progress.ts';
import { checkPlaces, refuseCollected } from './copy-place.ts';
import { CopyProof } from './copy-proof.ts';
import { lostPoints, pointsOf } from './copy-points.ts';
import type { CopyPlan, CopyReport } from './copy-report.ts';
import { ObjectSender } from './object-sender.ts';
import { PackRoll } from './pack-roll.ts';
import { pairedListing, type PairedEntry } from './paired-listing.ts';
import { SentObjects } from './sent-objects.ts';

/** Larger objects go two at a time, smaller ones in a wider lane. */
const LARGE_BYTES = 1024 * 1024;
const LARGE_AT_ONCE = 2;
const SMALL_AT_ONCE = 16;
/** Packs are listed at most this often until none vanishes meanwhile. */
const PASSES_MAX = 8;
/** How often to prove that all packs are in the target; after each failure they are sent again. */
const PROOFS_MAX = 3;
const SEAL = /[.]ok$/;

const PACK_PREFIXES = [PREFIXES.metadata, PREFIXES.data] as const;
/** In the order of writing: what explains a later object stands before it. */
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
  /** For what is read from the source. Default: no limits. */
  readonly rateLimits?: RateLimits | undefined;
  /** Reads back every object that was sent and compares it. */
  readonly readBack?: boolean;
}

interface CopiedPacks {
  readonly passes: number;
  /** What the source listed in the last pass and the target has had since. */
  readonly rolls: ReadonlyMap<string, PackRoll>;
}

/**
 * Makes and refreshes a replica of a vault in another store by plain objects, without any key,
 * while others write to the source and collect in it. Section 15 of docs/vault-format.md gives the
 * order and the reasons.
 *
 * If it is killed, the copy is a vault whose points are whole; the next run sends what is missing.
 */
export class VaultCopy {
  readonly #options: CopyOptions;
  readonly #sent: SentObjects;

  constructor(options: CopyOptions) {
    const { source, target, clock, rateLimits, readBack = false } = options;
    this.#options = options;
    const limiter = limiterFor(rateLimits, clock);
    this.#sent = new SentObjects(new ObjectSender({ source, target, limiter, readBack }));
  }

  /**
   * Compares the two places by name and size. Reads only names.
   * @throws Fault as `run` does before it writes
   */
  async plan(running: Running): Promise<CopyPlan> {
    return (await this.#compare(running)).plan;
  }

  /** Returns the plan, and whether there is no copy yet. */
  async #compare({ signal, report }: Running): Promise<{ plan: CopyPlan; isNew: boolean }> {
    const { source, target } = this.#options;
    const { vaultId, isNew } = await checkPlaces(source, target, signal);
    await refuseCollected(source, target, signal);
    const missing = { objects: 0, bytes: 0 };
    const present = { objects: 0, bytes: 0 };
    const { sealed, copied, beyond } = await pointsOf(source, target, signal);
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
    return { plan: { vaultId, missing, present, points, pointsBeyond: beyond }, isNew };
  }

  /** Lists the sealed points of the source that the copy does not have: a run reads them. */
  async lacking(signal: AbortSignal): Promise<PointName[]> {
    const { sealed, copied } = await pointsOf(this.#options.source, this.#options.target, signal);
    return [...sealed]
      .filter((key) => !copied.has(key))
      .flatMap((key) => {
        const name = parsePointKey(key);
        return name === undefined ? [] : [{ vmId: name.vmId, id: name.id }];
      });
  }

  /**
   * Brings the target to a state of the source that is at least as new as the start of this call.
   * @throws Fault `copy.same-place`, `copy.other-vault`, `copy.target-collected`, `copy.overtaken`,
   *   `copy.wrong-object`, `vault.not-found`, `vault.not-empty`
   */
  async run(running: Running): Promise<CopyReport> {
    const { source, target } = this.#options;
    const { signal } = running;
    const { plan, isNew } = await this.#compare(running);
    const { vaultId } = plan;
    this.#sent.expect(plan.missing.bytes);
    const proof = new CopyProof({ source, target, vaultId });
    // Their packs were put before them, so every later listing of packs has all that they need.
    const { sealed } = await pointsOf(source, target, signal);
    await (isNew ? target.makePlace(signal) : proof.place(signal));
    // After a rotation the new format needs the new key objects.
    await this.#sendAll([PREFIXES.keys], running);
    await this.#sendAll([PREFIXES.format], running);
    let packs = await this.#sendPacks(proof, running);
    await this.#sendControl(running);
    await proof.place(signal);
    const copied = await this.#sendPoints(sealed, running);
    if (copied.length > 0) {
      packs = await this.#provenPacks(packs, proof, running);
    }
    await this.#seal(copied, proof, running);
    const { copied: there, beyond } = await pointsOf(source, target, signal);
    this.#sent.noteDamage(await lostPoints(source, signal));
    const points = [...sealed].filter((key) => there.has(key)).length;
    return {
      vaultId,
      sent: this.#sent.amount,
      points,
      pointsBeyond: beyond,
      passes: packs.passes,
      damaged: this.#sent.damaged,
    };
  }

  /**
   * Makes these points count. Before that it proves the copy: it is where it was, it opens as the
   * source does, each point equals the source's, and nobody collected there. Afterwards it reads
   * back each seal.
   */
  async #seal(points: readonly ObjectKey[], proof: CopyProof, running: Running): Promise<void> {
    if (points.length === 0) {
      return;
    }
    const { source, target } = this.#options;
    const { signal } = running;
    const other = new Set(await proof.differing(points, signal));
    this.#sent.noteDamage([...(await proof.keysAndFormats(signal)), ...other]);
    // As a writer does after W1: whatever a collector condemned before it saw these points shows
    // now.
    await refuseCollected(source, target, signal);
    await proof.place(signal);
    const seals = points.filter((key) => !other.has(key)).map((key) => `${key}.ok`);
    for (const key of seals) {
      await this.#sendPlain(key, running);
    }
    this.#sent.noteDamage(await proof.differing(seals, signal));
  }

  #belongs(key: ObjectKey, sealed: ReadonlySet<ObjectKey>): boolean {
    const point = parsePointKey(key);
    return point === undefined || sealed.has(key.replace(SEAL, ''));
  }

  /**
   * Copies packs until none vanishes during a whole listing. The last pass, which finds almost all
   * of them there, also sees the successors of packs that were replaced after the first pass, which
   * may take days, had gone by their place.
   */
  async #sendPacks(proof: CopyProof, running: Running): Promise<CopiedPacks> {
    for (let passes = 1; passes <= PASSES_MAX; passes++) {
      await proof.place(running.signal);
      const rolls = new Map(PACK_PREFIXES.map((prefix) => [prefix, new PackRoll()]));
      const vanished = await this.#sendAll(PACK_PREFIXES, running, rolls);
      if (passes > 1 && vanished === 0) {
        return { passes, rolls };
      }
    }
    throw new Fault(
      'copy.overtaken',
      'Packs kept vanishing from the source while they were copied: a collection is running there. What was copied stays; repeat when the collection has ended.',
    );
  }

  /**
   * Proves that no pack was removed from the target since; if one was, sends them again. Costs one
   * LIST per 1000 packs.
   * @throws Fault `copy.overtaken`
   */
  async #provenPacks(
    copied: CopiedPacks,
    proof: CopyProof,
    running: Running,
  ): Promise<CopiedPacks> {
    let { passes, rolls } = copied;
    for (let proofs = 1; !(await proof.hasPacks(rolls, running.signal)); proofs++) {
      if (proofs === PROOFS_MAX) {
        throw packsVanish(this.#options.target);
      }
      const again = await this.#sendPacks(proof, running);
      passes += again.passes;
      ({ rolls } = again);
    }
    return { passes, rolls };
  }

  /**
   * Sends what says that points or slots are given up. Lists causes last and writes them first: the
   * target never shows a condemned slot whose retired point it does not know.
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
        // A list goes before the note that it was carried out, which sorts behind it.
        for (const entry of entries.filter(({ key }) => !key.endsWith('.done'))) {
          await lane.add(async () => {
            await this.#sent.send(entry, running);
          });
        }
      });
      for (const entry of entries.filter(({ key }) => key.endsWith('.done'))) {
        await this.#sent.send(entry, running);
      }
    }
  }

  /** Does W1 in the target: from now on collectors there keep what these points need. */
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
              await this.#sent.send(entry, running);
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
      await this.#sent.send(
        { key, sourceBytes: facts.objectSize, targetBytes: undefined },
        running,
      );
    }
  }

  /**
   * @param rolls filled with what was listed and is in the target afterwards
   * @returns how many objects vanished from the source between listing and reading
   */
  async #sendAll(
    prefixes: readonly string[],
    running: Running,
    rolls?: ReadonlyMap<string, PackRoll>,
  ): Promise<number> {
    const { source, target } = this.#options;
    let vanished = 0;
    const large = new Parallel(LARGE_AT_ONCE);
    const small = new Parallel(SMALL_AT_ONCE);
    await inLane(large, () =>
      inLane(small, async () => {
        for (const prefix of prefixes) {
          const roll = rolls?.get(prefix);
          for await (const entry of pairedListing(source, target, prefix, running.signal)) {
            const { key, sourceBytes, targetBytes } = entry;
            if (sourceBytes === undefined || !isVaultObject(key)) {
              continue;
            }
            const place = roll?.add({ key, size: sourceBytes });
            if (sourceBytes === targetBytes) {
              continue;
            }
            const lane = sourceBytes > LARGE_BYTES ? large : small;
            await lane.add(async () => {
              const sent = await this.#sent.send(entry, running);
              vanished += sent === 'vanished' ? 1 : 0;
              if (sent === 'kept' && place !== undefined) {
                roll?.withdraw(place);
              }
            });
          }
        }
      }),
    );
    return vanished;
  }
}

function packsVanish({ location }: ObjectStore): Fault {
  return new Fault(
    'copy.overtaken',
    `Packs kept vanishing from the copy at ${location} while it was made. Recovery points that are not whole do not count there; look who removes objects, then repeat.`,
    { location },
  );
}

/**
 * Runs `work`, which starts operations in the lane, and waits for all of them even if it throws.
 */
async function inLane(lane: Parallel, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    await lane.end();
  } finally {
    await lane.settle();
  }
}

/** Other keys are not carried over: readers ignore them, too. */
function isVaultObject(key: ObjectKey): boolean {
  const isPack = key.startsWith(PREFIXES.data) || key.startsWith(PREFIXES.metadata);
  return !isPack || parsePackKey(key) !== undefined;
}
