import { type Fault, integrityOrThrow } from '../../../kernel/fault.ts';
import type { Running } from '../../../kernel/progress.ts';
import { mapAtOnce } from '../../../kernel/waiting/map-at-once.ts';
import type { FrameRequest } from '../../packs/frame-requests.ts';
import type { OpenPack, PlacedSlot, SlotReference } from '../../packs/open-pack.ts';
import { damagedFrame, wrongSlot } from '../../packs/pack-faults.ts';
import { fetched, type FrameFetcher } from '../../tasks/frame-fetcher.ts';
import type { CheckedFrame } from '../../tasks/frame-tasks.ts';
import { checkFrames, isNode } from '../frame-check.ts';
import type { VerifyProblems } from './verify-problems.ts';

const REQUESTS_AT_ONCE = 16;

/** An object that serves slots of a disk. */
export interface ServedSlots {
  readonly open: OpenPack;
  /** By its number in the object: how the disk names a slot. */
  readonly slots: Map<number, SlotReference>;
}

/** Reads the frames of slots, each frame once, and tells which slots are nowhere whole. */
export class SlotChecks {
  readonly #fetcher: FrameFetcher;
  readonly #problems: VerifyProblems;
  readonly #running: Running;
  readonly #frames = new Map<string, CheckedFrame>();
  readonly #progress = { phase: 'verifying', doneBytes: 0, totalBytes: 0 };
  #count = 0;

  constructor(fetcher: FrameFetcher, problems: VerifyProblems, running: Running) {
    this.#fetcher = fetcher;
    this.#problems = problems;
    this.#running = running;
  }

  get frameCount(): number {
    return this.#frames.size;
  }

  get slotCount(): number {
    return this.#count;
  }

  async check(diskId: string, served: ServedSlots): Promise<void> {
    this.#count += served.slots.size;
    await this.#readFrames(served);
    for (const [slot, reference] of served.slots) {
      const fault = this.#faultOf(served.open, slot);
      if (fault !== undefined && !(await this.#isElsewhere(served.open, slot, reference, fault))) {
        const { code, message } = fault;
        this.#problems.note({ code, message, diskId });
      }
    }
  }

  async #readFrames({ open, slots }: ServedSlots): Promise<void> {
    const { footer } = open;
    const used = new Set([...slots.keys()].map((slot) => footer.frameOf[slot] ?? 0));
    const fresh = footer.frames.filter(
      ({ index }) => used.has(index) && !this.#frames.has(frameKey(open, index)),
    );
    this.#progress.totalBytes += fresh.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
    const requests = this.#fetcher.requests(fresh);
    await mapAtOnce(requests, REQUESTS_AT_ONCE, async (request) => this.#request(open, request));
  }

  async #request(open: OpenPack, request: FrameRequest): Promise<void> {
    const bytes = await this.#fetcher.fetch(open, request, this.#running.signal);
    const frames = request.frames.map((frame) => fetched(frame, request));
    const checked = await checkFrames(this.#fetcher, { pack: open, bytes, frames });
    for (const frame of checked) {
      this.#frames.set(frameKey(open, frame.index), frame);
      this.#progress.doneBytes += open.footer.frames[frame.index]?.sealedBytes ?? 0;
    }
    this.#running.report?.(this.#progress);
  }

  /** Returns what is wrong with a slot in this object. */
  #faultOf(open: OpenPack, slot: number): Fault | undefined {
    const frame = this.#frames.get(frameKey(open, open.footer.frameOf[slot] ?? 0));
    const { index = 0, damage, wrong } = frame ?? {};
    if (damage === undefined || wrong?.includes(slot) === false) {
      return undefined;
    }
    return wrong === undefined ? damagedFrame(open, index, damage) : wrongSlot(open, slot);
  }

  /** Looks everywhere but in the object that was found damaged. */
  async #isElsewhere(
    open: OpenPack,
    slot: number,
    reference: SlotReference,
    fault: Fault,
  ): Promise<boolean> {
    const { packs } = this.#fetcher;
    await packs.avoid({ open, slot, pack: reference.pack }, fault);
    try {
      const { signal } = this.#running;
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
}

function frameKey({ objectKey }: OpenPack, index: number): string {
  return `${objectKey}/${index}`;
}
