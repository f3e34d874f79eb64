import { integrityOrThrow } from '../../kernel/fault.ts';
import { fetched, type FrameFetcher } from '../tasks/frame-fetcher.ts';
import type { FrameRequest } from '../packs/frame-requests.ts';
import { packKey, type PackName } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { CheckedFrame } from '../tasks/frame-tasks.ts';
import { HEADER_BYTES } from '../format/pack-ends.ts';
import type { PackFooter } from '../packs/pack-layout.ts';
import type { OpenPack } from '../packs/open-pack.ts';
import { missing } from '../packs/pack-faults.ts';
import type { SlotRange } from '../slots/slot-set.ts';
import { checkFrames } from './frame-check.ts';
import type { ProofDepth } from './proof-ledger.ts';

/** What the check of one object that holds a pack found. */
export interface PackFindings {
  readonly key: ObjectKey;
  readonly name: PackName;
  readonly bytes: number;
  readonly requests: number;
  readonly depth: ProofDepth;
  /** What is wrong, for people; empty if the object is whole. */
  readonly why: readonly string[];
  readonly frames: readonly number[];
  /** Slots that cannot be read from this object; `all` if none can. */
  readonly damaged: 'all' | readonly SlotRange[];
  /** Undefined if the footer cannot be read. */
  readonly footer?: PackFooter;
}

type Found = Pick<PackFindings, 'depth' | 'why' | 'frames' | 'damaged' | 'footer'>;

/** Checks one exact object with the key: its header, its footer and every frame. */
export class PackCheck {
  readonly #fetcher: FrameFetcher;

  /** @param fetcher decides whether ids are checked */
  constructor(fetcher: FrameFetcher) {
    this.#fetcher = fetcher;
  }

  async run(name: PackName, signal: AbortSignal): Promise<PackFindings> {
    const { packs } = this.#fetcher;
    const before = { ...packs.traffic };
    const found = await this.#find(name, signal);
    const { bytes, requests } = packs.traffic;
    return {
      key: packKey(name),
      name,
      bytes: bytes - before.bytes,
      requests: requests - before.requests,
      ...found,
    };
  }

  async #find(name: PackName, signal: AbortSignal): Promise<Found> {
    const depth = this.#depth(name);
    const nothing = { depth, frames: [], damaged: 'all' } as const;
    try {
      const pack = await this.#fetcher.packs.openExact(name, signal);
      if (pack === undefined) {
        return { ...nothing, why: [missing(name).message] };
      }
      return await this.#checkOpen(pack, signal);
    } catch (error) {
      // Reports damage; anything else that keeps it from checking is thrown.
      return { ...nothing, why: [integrityOrThrow(error).message] };
    }
  }

  async #checkOpen(pack: OpenPack, signal: AbortSignal): Promise<Found> {
    const { footer } = pack;
    const why: string[] = [];
    const { packs } = this.#fetcher;
    const header = await packs.range(pack, { offset: 0, length: HEADER_BYTES }, signal);
    if (!Buffer.from(pack.header).equals(header)) {
      // Readers rebuild the header, so no slot is damaged by this.
      why.push(`The header of ${pack.objectKey} is not what was written.`);
    }
    const frames: number[] = [];
    const damaged: SlotRange[] = [];
    for (const request of this.#fetcher.requests(footer.frames)) {
      signal.throwIfAborted();
      const results = await this.#request(pack, request, signal);
      for (const { index, damage, wrong } of results) {
        if (damage !== undefined) {
          frames.push(index);
          damaged.push(...(wrong?.map((first) => ({ first, count: 1 })) ?? allOf(footer, index)));
          why.push(`Frame ${String(index)} of ${pack.objectKey}: ${damage}.`);
        }
      }
    }
    return {
      depth: this.#depth(pack.name),
      why,
      frames,
      damaged,
      footer,
    };
  }

  async #request(
    pack: OpenPack,
    request: FrameRequest,
    signal: AbortSignal,
  ): Promise<readonly CheckedFrame[]> {
    const bytes = await this.#fetcher.fetch(pack, request, signal);
    const frames = request.frames.map((frame) => fetched(frame, request));
    return checkFrames(this.#fetcher, { pack, bytes, frames });
  }

  /** Ids of metadata are MACs, which every machine can compute. */
  #depth({ kind }: PackName): Exclude<ProofDepth, 'crc'> {
    const { areMade, areWanted } = this.#fetcher.ids;
    return (kind === 'data' ? areMade : areWanted) ? 'ids' : 'frames';
  }
}

function allOf(footer: PackFooter, frame: number): SlotRange[] {
  const { firstSlot = 0, slots = 0 } = footer.frames[frame] ?? {};
  return slots === 0 ? [] : [{ first: firstSlot, count: slots }];
}
