import { createHash } from 'node:crypto';
import { parseOr } from '../../bytes/binary.ts';
import { SECTOR_BYTES } from '../../chunks/chunk-cut.ts';
import { openFrameBody } from '../../packs/frame.ts';
import { frameRequests } from '../../packs/frame-requests.ts';
import { packKey, type PackName } from '../../format/object-names.ts';
import { PackDraft, type DraftSlot } from '../../packs/pack-draft.ts';
import {
  FRAME_BYTES,
  PREFIX_BYTES,
  type PackFrame,
  type PackFooter,
} from '../../packs/pack-layout.ts';
import type { OpenPack } from '../../packs/open-pack.ts';
import { damagedFrame } from '../../packs/pack-faults.ts';
import type { Packs } from '../../packs/packs.ts';
import { setImmediate } from 'node:timers/promises';

/**
 * A frame of which a smaller share is kept is packed anew with its neighbours: large frames
 * compress better.
 */
const WHOLE_FRAME_SHARE = 1 / 4;
const READ_BYTES = 2 * 1024 * 1024;

/**
 * A pack that was rewritten from others. Its bytes were verified in the memory they were sent from.
 */
export interface RewrittenPack {
  readonly name: PackName;
  readonly bytes: number;
}

/**
 * Makes a pack from slots of other packs. A frame that is kept whole is decrypted, proven and
 * encrypted under the new pack's key, without compressing it again; the slots kept of other frames
 * share new frames.
 */
export class PackRewriter {
  readonly #packs: Packs;
  readonly #name: PackName;
  readonly #signal: AbortSignal;
  readonly #draft: PackDraft;

  constructor(packs: Packs, name: PackName, signal: AbortSignal) {
    this.#packs = packs;
    this.#name = name;
    this.#signal = signal;
    this.#draft = new PackDraft(packs, name);
  }

  /** Number of slots so far, which is the number of the next slot kept. */
  get slots(): number {
    return this.#draft.slots;
  }

  /**
   * Takes over slots of a pack.
   * @param keep whether to keep a slot
   * @param leaveGaps records slots that are not kept as missing, so that the others keep their
   *   numbers
   * @throws Fault `vault.chunk-corrupt` if a slot to be kept is damaged
   */
  async take(source: OpenPack, keep: (slot: number) => boolean, leaveGaps: boolean): Promise<void> {
    const wanted = source.footer.frames.filter((frame) => keptIn(source, frame, keep).length > 0);
    const contents = this.#contents(source, wanted);
    for (const frame of source.footer.frames) {
      const kept = keptIn(source, frame, keep);
      if (kept.length === 0) {
        this.#draft.skip(leaveGaps ? frame.slots : 0);
        continue;
      }
      const next = await contents.next();
      if (next.done === true) {
        throw damagedFrame(source, frame.index, 'it was not read');
      }
      this.#frame(source, frame, { ...next.value, kept, leaveGaps });
    }
  }

  /** Sends the pack; it is in the vault when this has returned. */
  async finish(): Promise<RewrittenPack> {
    const { object } = this.#draft.finish();
    const { base } = this.#packs;
    const sha256 = createHash('sha256').update(object).digest();
    await base.store.put(packKey(this.#name), object, this.#signal, { sha256 });
    await this.#packs.checkLength(this.#name, this.#signal);
    return { name: this.#name, bytes: object.length };
  }

  async *#contents(
    source: OpenPack,
    frames: readonly PackFrame[],
  ): AsyncGenerator<{ raw: Uint8Array; body: Uint8Array }> {
    for (const request of frameRequests(frames, READ_BYTES)) {
      const bytes = await this.#packs.range(source, request, this.#signal);
      for (const frame of request.frames) {
        // Each frame takes milliseconds: lets other work run in between.
        await setImmediate();
        this.#signal.throwIfAborted();
        const at = frame.offset - request.offset;
        const sealed = bytes.subarray(at, at + PREFIX_BYTES + frame.sealedBytes);
        yield opened(source, frame, sealed);
      }
    }
  }

  #frame(
    { footer, name }: OpenPack,
    frame: PackFrame,
    from: {
      readonly raw: Uint8Array;
      readonly body: Uint8Array;
      readonly kept: readonly number[];
      readonly leaveGaps: boolean;
    },
  ): void {
    const { raw, body, kept, leaveGaps } = from;
    const present = slotsOf(frame).filter((slot) => footer.size(slot) > 0);
    const isWhole = kept.length === present.length && (leaveGaps || present.length === frame.slots);
    if (isWhole && raw.length >= FRAME_BYTES[name.kind] * WHOLE_FRAME_SHARE) {
      const slots = slotsOf(frame).map((slot) => slotOf(footer, slot));
      this.#draft.addFrame(slots, { raw, body, compressed: frame.compressed });
      return;
    }
    const unit = name.kind === 'data' ? SECTOR_BYTES : 1;
    const keptSlots = new Set(kept);
    for (const slot of slotsOf(frame)) {
      if (keptSlots.has(slot)) {
        const offset = footer.offsetOf[slot] ?? 0;
        const content = raw.subarray(offset, offset + footer.size(slot) * unit);
        this.#draft.add(slotOf(footer, slot), content);
      } else {
        this.#draft.skip(leaveGaps ? 1 : 0);
      }
    }
  }
}

function slotOf(footer: PackFooter, slot: number): DraftSlot {
  return { id: Uint8Array.from(footer.id(slot)), size: footer.size(slot) };
}

function slotsOf({ firstSlot, slots }: PackFrame): number[] {
  return Array.from({ length: slots }, (_, index) => firstSlot + index);
}

function keptIn({ footer }: OpenPack, frame: PackFrame, keep: (slot: number) => boolean): number[] {
  return slotsOf(frame).filter((slot) => footer.size(slot) > 0 && keep(slot));
}

function opened(
  source: OpenPack,
  frame: PackFrame,
  sealed: Uint8Array,
): ReturnType<typeof openFrameBody> {
  return parseOr(
    (why, cause) => damagedFrame(source, frame.index, why, cause),
    () => openFrameBody(source, frame, sealed),
  );
}
