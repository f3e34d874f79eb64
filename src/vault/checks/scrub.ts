import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import { FrameFetcher } from '../tasks/frame-fetcher.ts';
import { parsePackKey, type PackName } from '../format/object-names.ts';
import type { ObjectKey, ObjectStore } from '../store/object-store.ts';
import { Packs } from '../packs/packs.ts';
import type { VaultBase } from '../packs/vault-base.ts';
import { SlotSet } from '../slots/slot-set.ts';
import type { Running } from '../../kernel/progress.ts';
import type { TaskPool } from '../tasks/task-pool.ts';
import type { PointStore } from '../points/point-store.ts';
import { damagedObjects } from './control-check.ts';
import { addSlots, lostSlots, newlyDamaged } from './lost-slots.ts';
import { writeDamage } from '../damage/damage-list.ts';
import { DamagedSlots } from '../damage/damaged-slots.ts';
import { checkPackCrc } from './pack-crc.ts';
import { PackCheck, type PackFindings } from './pack-check.ts';
import type { PackProof, ProofDepth, ProofLedger } from './proof-ledger.ts';
import { bytesToScrub, scrubQueue, type ScrubBudget, type ScrubTurn } from './scrub-queue.ts';

/** Proofs are recorded after this many packs, so that stopping a scrub loses little work. */
const PACKS_PER_RECORD = 16;

export interface ScrubParts {
  readonly base: VaultBase;
  readonly points: PointStore;
  readonly pool: TaskPool;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ScrubOptions {
  readonly ledger: ProofLedger;
  /** Default: a 30th of the vault. */
  readonly budget?: ScrubBudget;
  /** Default `ids`; where this machine cannot compute them, `frames`. */
  readonly depth?: Exclude<ProofDepth, 'crc'>;
  /** Slots lost for another reason: in packs that points need and that are gone. */
  readonly lost?: SlotSet;
}

/** A pack that is not whole. */
export interface DamagedPack {
  readonly key: ObjectKey;
  readonly frames: readonly number[];
  readonly why: readonly string[];
  /** Slots that no other generation of the pack has whole. */
  readonly lostSlots: number | 'all';
}

export interface ScrubReport {
  readonly depth: ProofDepth;
  readonly packs: number;
  readonly bytes: number;
  readonly requests: number;
  /** Number of all packs in the vault. */
  readonly totalPacks: number;
  readonly totalBytes: number;
  readonly ended: 'all-checked' | 'budget';
  readonly damaged: readonly DamagedPack[];
  /** Small objects that no holder of the key wrote; without a key this cannot be checked. */
  readonly damagedObjects: readonly ObjectKey[];
  /** The last list of damaged slots that was written; undefined if all damage was known before. */
  readonly list?: ObjectKey;
}

type Checked = Pick<PackFindings, 'key' | 'bytes' | 'requests' | 'depth' | 'why' | 'frames'>;

interface Work {
  readonly check: (turn: ScrubTurn) => Promise<Checked>;
  /** Resolves once everybody can learn of the damage found so far. */
  readonly writeDown: () => Promise<void>;
}

/** What all kinds of scrub share: the order of packs, the budget, and the ledger. */
class Round {
  readonly #ledger: ProofLedger;
  readonly #clock: Clock;
  readonly #running: Running;
  #open: PackProof[] = [];
  packs = 0;
  bytes = 0;
  requests = 0;

  constructor(ledger: ProofLedger, clock: Clock, running: Running) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#running = running;
  }

  async run(
    store: ObjectStore,
    wanted: ScrubBudget | undefined,
    { check, writeDown }: Work,
  ): Promise<Pick<ScrubReport, 'totalPacks' | 'totalBytes' | 'ended'>> {
    const { signal, report } = this.#running;
    const proofs = await this.#ledger.load();
    const { turns, totalBytes, gone } = await scrubQueue(store, proofs, signal);
    await this.#ledger.record([], gone);
    const bytesMax = bytesToScrub(wanted, totalBytes);
    const requestsMax = wanted?.requests ?? Infinity;
    const dueBytes = Math.min(totalBytes, bytesMax);
    let ended: ScrubReport['ended'] = 'all-checked';
    try {
      for (const turn of turns) {
        if (this.bytes >= bytesMax || this.requests >= requestsMax) {
          ended = 'budget';
          break;
        }
        signal.throwIfAborted();
        this.#take(await check(turn));
        if (this.#open.length >= PACKS_PER_RECORD) {
          await this.#record(writeDown);
        }
        report?.({
          phase: 'scrubbing',
          doneBytes: Math.min(this.bytes, dueBytes),
          totalBytes: dueBytes,
        });
      }
      await this.#record(writeDown);
    } finally {
      // Damage that is not written down is looked for again, and first.
      await this.#ledger.record(
        this.#open.filter(({ damage }) => damage === undefined),
        [],
      );
    }
    return { totalPacks: turns.length, totalBytes, ended };
  }

  #take({ key, bytes, requests, depth, why }: Checked): void {
    this.packs += 1;
    this.bytes += bytes;
    this.requests += requests;
    this.#open.push({
      key,
      bytes,
      depth,
      checkedAtMs: this.#clock.nowMs(),
      ...(why.length === 0 ? {} : { damage: why.join(' ').slice(0, 1000) }),
    });
  }

  async #record(writeDown: Work['writeDown']): Promise<void> {
    await writeDown();
    const proofs = this.#open;
    this.#open = [];
    await this.#ledger.record(proofs, []);
  }
}

/**
 * Reads packs, least recently checked first, until the budget is used up, and proves every frame.
 * Slots that are damaged and in no other generation of their pack are written to `bad/` before the
 * ledger records the check. If it is cancelled or killed, it keeps what it has proven.
 */
export async function scrub(
  parts: ScrubParts,
  options: ScrubOptions,
  running: Running,
): Promise<ScrubReport> {
  const { base, pool, clock, log } = parts;
  const { signal } = running;
  const { depth = 'ids' } = options;
  const check = new PackCheck(new FrameFetcher(new Packs(base), pool, depth === 'ids'));
  const known = new DamagedSlots(base, log);
  await known.read(signal);
  const lost = new SlotSet();
  lost.addAll(options.lost ?? new SlotSet());
  const damaged: DamagedPack[] = [];
  let reached: ProofDepth = depth;
  const round = new Round(options.ledger, clock, running);
  let list: ObjectKey | undefined;
  const writeDown = async (): Promise<void> => {
    const fresh = newlyDamaged(known, lost);
    if (!fresh.isEmpty) {
      list = await writeDamage(base, fresh, signal);
      await known.read(signal);
    }
  };
  const inspect = async ({ key }: ScrubTurn): Promise<Checked> => {
    const name = nameOf(key);
    const findings = await check.run(name, signal);
    reached = findings.depth === 'frames' ? 'frames' : reached;
    if (findings.why.length === 0) {
      return findings;
    }
    const { slots, bytes, requests } = await lostSlots(base.store, check, findings, signal);
    const { frames, why } = findings;
    log.error('vault.pack-damaged', { key, frames, why });
    addSlots(lost, name.ulid, slots);
    damaged.push({ key, frames, why, lostSlots: slots === 'all' ? slots : slots.size });
    return { ...findings, bytes: findings.bytes + bytes, requests: findings.requests + requests };
  };
  const ends = await round.run(base.store, options.budget, { check: inspect, writeDown });
  const { packs, bytes, requests } = round;
  const done = {
    depth: reached,
    packs,
    bytes,
    requests,
    ...ends,
    damaged,
    damagedObjects: await damagedObjects(parts, signal),
  };
  return list === undefined ? done : { ...done, list };
}

/**
 * Checks packs by their checksums alone, without a key. It finds damage but cannot write it to the
 * vault.
 */
export async function scrubWithoutKey(
  store: ObjectStore,
  { ledger, budget, clock }: Pick<ScrubOptions, 'ledger' | 'budget'> & { readonly clock: Clock },
  running: Running,
): Promise<ScrubReport> {
  const damaged: DamagedPack[] = [];
  const round = new Round(ledger, clock, running);
  const check = async ({ key }: ScrubTurn): Promise<Checked> => {
    const { bytes, requests, damage } = await checkPackCrc(store, nameOf(key), running.signal);
    const frames = damage.flatMap(({ frame }) => (frame === undefined ? [] : [frame]));
    const why = damage.map((found) => found.why);
    if (why.length > 0) {
      damaged.push({ key, frames, why, lostSlots: 'all' });
    }
    return { key, bytes, requests, depth: 'crc', why, frames };
  };
  // Writing to the vault needs the key: whoever looks after the vault reads the report.
  const ends = await round.run(store, budget, { check, writeDown: () => Promise.resolve() });
  const { packs, bytes, requests } = round;
  return { depth: 'crc', packs, bytes, requests, ...ends, damaged, damagedObjects: [] };
}

function nameOf(key: ObjectKey): PackName {
  const name = parsePackKey(key);
  if (name === undefined) {
    throw new TypeError(`not a pack: ${key}`);
  }
  return name;
}
