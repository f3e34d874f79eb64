import { type Fault, integrityOrThrow } from '../../kernel/fault.ts';
import { fetched, type FrameFetcher } from '../tasks/frame-fetcher.ts';
import type { FrameRequest } from '../packs/frame-requests.ts';
import { parsePackKey, PREFIXES, type PackName } from '../format/object-names.ts';
import type { NodePointer } from '../maps/map-node.ts';
import type { MapTree } from '../maps/map-tree.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { HEADER_BYTES } from '../format/pack-ends.ts';
import type { CheckedFrame } from '../tasks/frame-tasks.ts';
import type { OpenPack, PlacedSlot, SlotReference } from '../packs/open-pack.ts';
import { damagedFrame, corrupt, wrongSlot } from '../packs/pack-faults.ts';
import { mapAtOnce } from '../../kernel/waiting/map-at-once.ts';
import type { Ulid } from '../bytes/ulid.ts';
import type { Running } from '../../kernel/progress.ts';
import type { VerifyLevel, VerifyProblem, VerifyReport } from './verify-report.ts';
import { checkFrames, isNode } from './frame-check.ts';

const REQUESTS_AT_ONCE = 16;
const PROBLEMS_MAX = 1000;

export interface VerifyTarget {
  readonly pointId: string;
  readonly disks: readonly { readonly diskId: string; readonly tree: MapTree }[];
  /** Each reads one file of the point and proves it. */
  readonly files: readonly (() => Promise<unknown>)[];
  /** Proves that the parent, if it is still there, is the point that this one was made from. */
  readonly parent: () => Promise<unknown>;
}

/** An object that serves slots of the disk, and the numbers of these slots. */
interface Serving {
  readonly open: OpenPack;
  readonly slots: Map<number, SlotReference>;
}

/**
 * Checks a recovery point against the store itself, so give it packs and nodes without caches. It
 * reports what is wrong, and throws only what prevents the check, such as a lost connection. Damage
 * counts against the point only if readers find no other place where the content is whole.
 */
export class Verification {
  readonly #fetcher: FrameFetcher;
  readonly #level: VerifyLevel;
  readonly #running: Running;
  readonly #problems: VerifyProblem[] = [];
  readonly #checkedPacks = new Map<ObjectKey, VerifyProblem | undefined>();
  readonly #checkedFrames = new Map<string, CheckedFrame>();
  readonly #progress = { phase: 'verifying', doneBytes: 0, totalBytes: 0 };
  /** Logical packs in the store, each with its newest generation. */
  readonly #present = new Map<Ulid, PackName>();
  #chunks = 0;

  /** @param fetcher must check ids at level 3, and not below */
  constructor(fetcher: FrameFetcher, level: VerifyLevel, running: Running) {
    this.#fetcher = fetcher;
    this.#level = level;
    this.#running = running;
  }

  async run(target: VerifyTarget): Promise<VerifyReport> {
    await this.#listPacks();
    for (const { diskId, tree } of target.disks) {
      await this.#noting(diskId, async () => this.#disk(diskId, tree));
    }
    if (this.#level > 0) {
      for (const check of [...target.files, target.parent]) {
        await this.#noting(undefined, check);
      }
    }
    const isComplete = this.#fetcher.ids.areAvailable;
    return {
      pointId: target.pointId,
      level: isComplete || this.#level < 3 ? this.#level : 2,
      ...(isComplete ? {} : { stoppedBy: 'vault.chunk-id-unavailable' as const }),
      ok: this.#problems.length === 0,
      packs: this.#checkedPacks.size,
      frames: this.#checkedFrames.size,
      chunks: this.#chunks,
      fetchedBytes: this.#fetcher.packs.traffic.bytes,
      problems: this.#problems,
    };
  }

  async #listPacks(): Promise<void> {
    const { store } = this.#fetcher.packs.base;
    for (const prefix of [PREFIXES.data, PREFIXES.metadata]) {
      for await (const { key } of store.list(prefix, this.#running.signal)) {
        const name = parsePackKey(key);
        if (
          name !== undefined &&
          name.generation >= (this.#present.get(name.ulid)?.generation ?? 0)
        ) {
          this.#present.set(name.ulid, name);
        }
      }
    }
  }

  async #disk(diskId: string, tree: MapTree): Promise<void> {
    const { signal } = this.#running;
    const serving = new Map<ObjectKey, Serving>();
    for await (const pointer of tree.nodePointers(signal)) {
      await this.#use(diskId, serving, pointer);
    }
    for await (const { pointer } of tree.leaves(signal)) {
      await this.#noting(diskId, async () => {
        for (const reference of await this.#slotsOf(tree, pointer)) {
          await this.#use(diskId, serving, reference);
        }
      });
    }
    for (const [key, served] of serving) {
      await this.#pack(diskId, served.open);
      if (this.#level > 1 && this.#checkedPacks.get(key) === undefined) {
        await this.#frames(diskId, served);
      }
    }
  }

  /**
   * Returns the slots to check. At level 0 the first slot of each extent is enough while all packs
   * are there under their own names.
   */
  async #slotsOf({ nodes }: MapTree, pointer: NodePointer): Promise<readonly SlotReference[]> {
    const { signal } = this.#running;
    if (this.#level > 0) {
      return nodes.fragments(pointer, signal);
    }
    const { extents } = await nodes.leaf(pointer, signal);
    const areThere = extents.every(({ pack }) =>
      this.#present.has(nodes.base.numbers.name(pack).ulid),
    );
    return areThere ? extents : nodes.fragments(pointer, signal);
  }

  async #use(
    diskId: string,
    serving: Map<ObjectKey, Serving>,
    reference: SlotReference,
  ): Promise<void> {
    const { packs } = this.#fetcher;
    if (this.#level === 0) {
      const there = this.#present.get(packs.base.numbers.name(reference.pack).ulid);
      if (there !== undefined) {
        await this.#length(diskId, there);
        return;
      }
    }
    await this.#noting(diskId, async () => {
      const { open, slot } = await packs.place(reference, this.#running.signal);
      const served = serving.get(open.objectKey) ?? {
        open,
        slots: new Map<number, SlotReference>(),
      };
      serving.set(open.objectKey, served);
      served.slots.set(slot, reference);
    });
  }

  async #length(diskId: string, name: PackName): Promise<void> {
    await this.#once(diskId, name.ulid, async () =>
      this.#fetcher.packs.checkLength(name, this.#running.signal),
    );
  }

  /**
   * Checks the header. Readers rebuild it, but it counts as damage while there is no other
   * generation.
   */
  async #pack(diskId: string, open: OpenPack): Promise<void> {
    await this.#once(diskId, open.objectKey, async () => {
      const range = { offset: 0, length: HEADER_BYTES };
      const header = await this.#fetcher.packs.range(open, range, this.#running.signal);
      const isNewest = this.#present.get(open.name.ulid)?.generation === open.name.generation;
      if (isNewest && !Buffer.from(open.header).equals(header)) {
        throw corrupt(open.name, 'its header is not what was written');
      }
    });
  }

  async #once(diskId: string, what: string, check: () => Promise<void>): Promise<void> {
    const known = this.#checkedPacks.get(what);
    if (this.#checkedPacks.has(what)) {
      if (known !== undefined) {
        this.#note({ ...known, diskId });
      }
      return;
    }
    const before = this.#problems.length;
    await this.#noting(diskId, check);
    this.#checkedPacks.set(what, this.#problems[before]);
  }

  async #frames(diskId: string, { open, slots }: Serving): Promise<void> {
    const { footer, objectKey } = open;
    const used = new Set([...slots.keys()].map((slot) => footer.frameOf[slot] ?? 0));
    const fresh = footer.frames.filter(
      ({ index }) => used.has(index) && !this.#checkedFrames.has(`${objectKey}/${index}`),
    );
    this.#chunks += slots.size;
    this.#progress.totalBytes += fresh.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
    const requests = this.#fetcher.requests(fresh);
    await mapAtOnce(requests, REQUESTS_AT_ONCE, async (request) => this.#request(open, request));
    for (const [slot, reference] of slots) {
      await this.#slot(diskId, { open, slot }, reference);
    }
  }

  async #request(open: OpenPack, request: FrameRequest): Promise<void> {
    const { signal } = this.#running;
    const bytes = await this.#fetcher.fetch(open, request, signal);
    const frames = request.frames.map((frame) => fetched(frame, request));
    const checked = await checkFrames(this.#fetcher, { pack: open, bytes, frames });
    for (const frame of checked) {
      this.#checkedFrames.set(`${open.objectKey}/${frame.index}`, frame);
      this.#progress.doneBytes += open.footer.frames[frame.index]?.sealedBytes ?? 0;
    }
    this.#running.report?.(this.#progress);
  }

  /** Checks a slot. If another object has it whole, the damage does not count against the point. */
  async #slot(
    diskId: string,
    { open, slot }: { readonly open: OpenPack; readonly slot: number },
    reference: SlotReference,
  ): Promise<void> {
    const { index = 0, damage, wrong } = this.#frameOf(open, slot) ?? {};
    if (damage === undefined || wrong?.includes(slot) === false) {
      return;
    }
    const fault = wrong === undefined ? damagedFrame(open, index, damage) : wrongSlot(open, slot);
    if (!(await this.#isElsewhere({ open, slot }, reference, fault))) {
      const { code, message } = fault;
      this.#note({ code, message, diskId });
    }
  }

  #frameOf({ objectKey, footer }: OpenPack, slot: number): CheckedFrame | undefined {
    return this.#checkedFrames.get(`${objectKey}/${footer.frameOf[slot] ?? 0}`);
  }

  /** Looks everywhere but in the object that was found damaged. */
  async #isElsewhere(
    { open, slot }: { readonly open: OpenPack; readonly slot: number },
    reference: SlotReference,
    fault: Fault,
  ): Promise<boolean> {
    const { signal } = this.#running;
    const { packs } = this.#fetcher;
    await packs.avoid({ open, slot, pack: reference.pack }, fault);
    try {
      await packs.withSlot(reference, signal, async (placed) => this.#proveSlot(placed));
      return true;
    } catch (error) {
      // No other place has it; the caller reports where it looked.
      integrityOrThrow(error);
      return false;
    }
  }

  async #proveSlot(placed: PlacedSlot): Promise<void> {
    const { open, slot } = placed;
    const { signal } = this.#running;
    if (open.name.kind === 'data') {
      await this.#fetcher.slot(placed, signal);
      return;
    }
    const { raw } = await this.#fetcher.frame(placed, signal);
    if (!isNode(this.#fetcher.packs.base.keys, open.footer, slot, raw)) {
      throw wrongSlot(open, slot);
    }
  }

  /** Turns damage into a problem in the report; throws anything else. */
  async #noting(diskId: string | undefined, check: () => Promise<unknown>): Promise<void> {
    try {
      await check();
    } catch (error) {
      // The problem is reported, and the rest of the point is still checked.
      const { code, message } = integrityOrThrow(error);
      this.#note({ code, message, ...(diskId === undefined ? {} : { diskId }) });
    }
  }

  #note(problem: VerifyProblem): void {
    const same = this.#problems.some(
      ({ message, diskId }) => message === problem.message && diskId === problem.diskId,
    );
    if (!same && this.#problems.length < PROBLEMS_MAX) {
      this.#problems.push(problem);
    }
  }
}
