import assert from 'node:assert/strict';
import { Fault } from '../../kernel/fault.ts';
import { findConflict, type Conflict } from './commit-conflict.ts';
import { checkFile, checkSource, refuseLongName } from './disk-source.ts';
import { fittingNotes } from '../points/fitting-notes.ts';
import { newestPoint } from '../points/newest-point.ts';
import { PackAssembly } from './assembly/pack-assembly.ts';
import { PointAttempt, type AttemptBasis } from './point-attempt.ts';
import { diskDocument, storeFiles } from '../points/point-maps.ts';
import type { PointDocument } from '../points/point-object.ts';
import { needsMissingPacks } from '../presence/missing-packs.ts';
import type { PointDisk, RecoveryPoint } from '../points/recovery-point.ts';
import { Healing } from './healing.ts';
import { newUlid, ulidTimeMs, type Ulid } from '../bytes/ulid.ts';
import type { DiskSource, PointFacts } from './new-point.ts';
import type { Running } from '../../kernel/progress.ts';
import type { WriterParts } from './writer-parts.ts';

/** docs/vault-format.md, section 10. */
const CONFLICTS_MAX = 3;

interface Vm {
  readonly vmId: string;
  readonly vmName: string;
}

/**
 * Writes one recovery point: does W0 when it begins, and W1 to W3 in `commit`. If it is disposed of
 * without a commit, it leaves packs that the next run finds again, and nothing that could be taken
 * for a point.
 */
export class PointWriter implements AsyncDisposable {
  readonly #parts: WriterParts;
  readonly #vm: Vm;
  readonly #onEnd: () => void;
  readonly #stop = new AbortController();
  readonly #sources: DiskSource[] = [];
  readonly #files = new Map<string, Uint8Array>();
  readonly #assembly: PackAssembly;
  #attempt: PointAttempt;
  #busy = false;
  #state: 'open' | 'failed' | 'ended' = 'open';
  #clearMark: (() => Promise<void>) | undefined;

  private constructor(parts: WriterParts, vm: Vm, onEnd: () => void) {
    this.#parts = parts;
    this.#vm = vm;
    this.#onEnd = onEnd;
    this.#assembly = this.#newAssembly();
    this.#attempt = this.#newAttempt({ reachedMs: 0 });
  }

  /** Does W0. `onEnd` is called once, when the writer is disposed of. */
  static async begin(
    parts: WriterParts,
    vm: Vm,
    onEnd: () => void,
    signal: AbortSignal,
  ): Promise<PointWriter> {
    refuseLongName(vm.vmName);
    const writer = new PointWriter(parts, vm, onEnd);
    // W0.a.
    await parts.opened.prove(signal);
    writer.#attempt = await writer.#prepare(signal);
    await parts.index.load(parts.excluded.all, signal);
    writer.#clearMark = await parts.cache?.markWriting();
    return writer;
  }

  /** The sealed point of this VM with the newest content: the base of `changed-extents`. */
  get parent(): RecoveryPoint | undefined {
    return this.#attempt.parent?.point;
  }

  /**
   * Stores one disk; call it for one disk after another. If it throws, the point cannot be
   * committed any more; the next run finds again what was uploaded.
   */
  async addDisk(source: DiskSource, running: Running): Promise<PointDisk> {
    checkSource(source, this.#sources);
    return this.#exclusively(running.signal, async () => {
      const disk = await this.#attempt.store(source, running, 'parent');
      this.#sources.push(source);
      return disk;
    });
  }

  /** Adds a small file to the point, at most 64 MiB. */
  async addFile(name: string, content: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    assert(this.#state === 'open', 'the point was given up or committed');
    assert(!this.#files.has(name), `the file ${name} was added before`);
    checkFile(name, content, this.#files.size);
    this.#files.set(name, Uint8Array.from(content));
  }

  /**
   * Does W1 to W3. The sources of all disks must stay readable until it returns. There is a
   * recovery point only once it has returned (W3.c).
   */
  async commit(facts: PointFacts, signal: AbortSignal): Promise<RecoveryPoint> {
    return this.#exclusively(signal, async () => {
      const notes = [...facts.notes];
      let least = 0;
      let needsMissing = false;
      for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts++) {
        const document = await this.#document({ ...facts, notes }, least, signal);
        needsMissing = await this.#needsMissingPacks(signal);
        if (needsMissing) {
          await this.#again(notes, 'nothing', signal);
          continue;
        }
        // W1.d, then W2.
        const object = await this.#parts.points.put(document, signal);
        const conflict = await this.#conflict(signal);
        if (conflict === 'none') {
          // W3.d: the process that put it.
          const stored = await this.#parts.points.seal(document, object, signal);
          this.#state = 'ended';
          await this.#clearMark?.();
          this.#clearMark = undefined;
          return stored.point;
        }
        // W2.d.
        await this.#parts.points.giveUp(document, this.#parts.clock.nowMs(), signal);
        this.#parts.log.warn('vault.commit-conflict', { pointId: document.id, conflict });
        least = ulidTimeMs(document.id) + 1;
        await this.#again(notes, 'parent', signal);
      }
      throw needsMissing ? packsVanish(this.#vm) : collectorWon(this.#vm);
    });
  }

  /** Stops what is running, and gives up what was not committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = 'ended';
    this.#stop.abort();
    await this.#assembly.abandon();
    this.#onEnd();
  }

  async #prepare(signal: AbortSignal): Promise<PointAttempt> {
    const { excluded, index, points, nodes, log } = this.#parts;
    // W0.b.
    await index.exclude(await excluded.readCondemned(signal), signal);
    await index.exclude(await excluded.readDamaged(signal), signal);
    const { condemned, hasDamage } = excluded;
    const healing = hasDamage
      ? await Healing.begin({ packs: nodes.packs, condemned, log }, signal)
      : undefined;
    const newest = await newestPoint(points, this.#vm.vmId, signal);
    return this.#newAttempt({ ...newest, ...(healing && { healing }) });
  }

  #newAttempt(on: AttemptBasis): PointAttempt {
    return new PointAttempt(this.#parts, this.#assembly, on, this.#stop.signal);
  }

  #newAssembly(): PackAssembly {
    const { nodes, index, pool, clock, packBytes, spare, level } = this.#parts;
    const { base, packs } = nodes;
    return new PackAssembly(
      {
        base,
        packs,
        index,
        pool,
        clock,
        packBytes,
        spare,
        ...(level === undefined ? {} : { level }),
      },
      this.#stop.signal,
    );
  }

  /** Runs one operation at a time; one that fails ends the writer. */
  async #exclusively<T>(signal: AbortSignal, operation: () => Promise<T>): Promise<T> {
    assert(!this.#busy, 'one operation at a time');
    assert(this.#state === 'open', 'the point was given up or committed');
    this.#busy = true;
    // Uploads that run beside the operation stop with it.
    const stop = (): void => {
      this.#stop.abort(signal.reason);
    };
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await operation();
    } catch (error) {
      this.#state = 'failed';
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
      this.#busy = false;
    }
  }

  async #document(facts: PointFacts, leastMs: number, signal: AbortSignal): Promise<PointDocument> {
    await this.#assembly.flush();
    const { metadata, healing, parent, disks } = this.#attempt;
    const { numbers } = this.#parts.nodes.base;
    const files = await storeFiles(this.#files, metadata, numbers, signal);
    await metadata.finish(signal);
    // W1.b: the packs are there, the point is not.
    await healing?.finish(signal);
    return {
      ...this.#vm,
      id: this.#newId(leastMs),
      takenAtMs: facts.takenAtMs,
      consistency: facts.consistency,
      notes: fittingNotes(facts.notes),
      configuration: facts.configuration,
      ...(facts.origin === undefined ? {} : { origin: facts.origin }),
      ...(parent === undefined ? {} : { parent: { id: parent.point.id, mac: parent.mac } }),
      disks: disks.map((disk) => diskDocument(disk, numbers)),
      files,
    };
  }

  /**
   * Returns an id after those of all points of the VM that are listed, given up or not, and after
   * an attempt that was given up, whatever the clock says: ids decide the order.
   */
  #newId(leastMs: number): Ulid {
    const after = this.#attempt.reachedMs + 1;
    return newUlid(Math.max(this.#parts.clock.nowMs(), after, leastMs));
  }

  /** Does W2. */
  async #conflict(signal: AbortSignal): Promise<Conflict> {
    const { excluded, index, nodes, points } = this.#parts;
    await index.exclude(await excluded.readCondemned(signal), signal);
    const { used, metadata, roots, parent } = this.#attempt;
    const written = {
      used,
      metadataPacks: metadata.packsSent,
      roots,
      parent: parent?.document,
    };
    return findConflict({ nodes, points }, excluded.condemned, written, signal);
  }

  /**
   * W1.c, called before W1.d: whether the point builds on packs that are missing.
   */
  async #needsMissingPacks(signal: AbortSignal): Promise<boolean> {
    const { numbers } = this.#parts.nodes.base;
    const { builtOn, roots, metadata } = this.#attempt;
    const sent = metadata.packsSent.map((ulid) => numbers.find(ulid) ?? 0);
    const own = new Set([...this.#assembly.begun, ...sent]);
    return needsMissingPacks(this.#parts, { builtOn, roots, own }, signal);
  }

  /** Stores all disks again: what is in the vault and not condemned is not sent again. */
  async #again(notes: string[], wanted: 'parent' | 'nothing', signal: AbortSignal): Promise<void> {
    const before = this.parent?.id;
    this.#attempt = await this.#prepare(signal);
    // Changes are known only relative to the old parent.
    const isOther = this.parent?.id !== before;
    if (wanted === 'nothing') {
      notes.push(
        'The disks were read whole: packs of the vault are missing; verify tells which points are affected.',
      );
    } else if (isOther) {
      notes.push('The disks were read whole: the parent point was given up during the backup.');
    }
    const basis = wanted === 'parent' && isOther ? 'other-parent' : wanted;
    for (const source of this.#sources) {
      await this.#attempt.store(source, { signal }, basis);
    }
  }
}

function packsVanish({ vmId }: Vm): Fault {
  return new Fault(
    'vault.pack-missing',
    `Packs that this backup needs vanish from the vault while it runs, ${CONFLICTS_MAX} times in a row. No recovery point was made; look who removes objects there, and run verify.`,
    { vmId },
  );
}

function collectorWon({ vmId }: Vm): Fault {
  return new Fault(
    'vault.conflict',
    `The collector took away what this backup needed, ${CONFLICTS_MAX} times in a row. No recovery point was made; back up again when the collection has ended.`,
    { vmId },
  );
}
