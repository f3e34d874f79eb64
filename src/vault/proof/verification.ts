import { fetched, type FrameFetcher } from '../frame-fetcher.ts';
import type { FrameRequest } from '../frame-requests.ts';
import { parsePackKey, PREFIXES, type PackName } from '../layout.ts';
import type { MapTree } from '../map-tree.ts';
import { HEADER_BYTES } from '../pack-layout.ts';
import { damagedFrame, corrupt, missing, type OpenPack, type SlotReference } from '../packs.ts';
import { Parallel } from '../parallel.ts';
import type { Running, VerifyLevel, VerifyProblem, VerifyReport } from '../vault-options.ts';
import { checkFrames } from './frame-check.ts';
import { integrityFault } from './pack-check.ts';

const REQUESTS_AT_ONCE = 16;
const PROBLEMS_MAX = 1000;

export interface VerifyTarget {
  readonly pointId: string;
  readonly disks: readonly { readonly diskId: string; readonly tree: MapTree }[];
  /** Reads one file of the point and proves it. */
  readonly files: readonly (() => Promise<unknown>)[];
  /** Proves that the parent is the point this one was made from, if it is still there. */
  readonly parent: () => Promise<unknown>;
}

/**
 * Checks a recovery point against the store itself: give it packs and nodes without caches. What is
 * wrong is reported; only what prevents checking (no connection) is thrown.
 */
export class Verification {
  readonly #fetcher: FrameFetcher;
  readonly #level: VerifyLevel;
  readonly #running: Running;
  readonly #problems: VerifyProblem[] = [];
  readonly #checkedPacks = new Map<number, VerifyProblem | undefined>();
  readonly #checkedFrames = new Map<string, string | undefined>();
  readonly #progress = { phase: 'verifying', doneBytes: 0, totalBytes: 0 };
  #idsComputable = true;
  #chunks = 0;

  constructor(fetcher: FrameFetcher, level: VerifyLevel, running: Running) {
    this.#fetcher = fetcher;
    this.#level = level;
    this.#running = running;
  }

  async run(target: VerifyTarget): Promise<VerifyReport> {
    const present = await this.#listPacks();
    for (const { diskId, tree } of target.disks) {
      await this.#noting(diskId, async () => this.#disk(diskId, tree, present));
    }
    if (this.#level > 0) {
      for (const check of [...target.files, target.parent]) {
        await this.#noting(undefined, check);
      }
    }
    return {
      pointId: target.pointId,
      level: this.#level === 3 && !this.#idsComputable ? 2 : this.#level,
      ...(this.#idsComputable ? {} : { stoppedBy: 'vault.chunk-id-unavailable' as const }),
      ok: this.#problems.length === 0,
      packs: this.#checkedPacks.size,
      frames: this.#checkedFrames.size,
      chunks: this.#chunks,
      fetchedBytes: this.#fetcher.packs.traffic.bytes,
      problems: this.#problems,
    };
  }

  /** Logical packs that are in the store, each with its newest generation. */
  async #listPacks(): Promise<Map<string, PackName>> {
    const present = new Map<string, PackName>();
    const { store } = this.#fetcher.packs.base;
    for (const prefix of [PREFIXES.data, PREFIXES.metadata]) {
      for await (const { key } of store.list(prefix, this.#running.signal)) {
        const name = parsePackKey(key);
        if (name !== undefined && name.generation >= (present.get(name.ulid)?.generation ?? 0)) {
          present.set(name.ulid, name);
        }
      }
    }
    return present;
  }

  async #disk(
    diskId: string,
    tree: MapTree,
    present: ReadonlyMap<string, PackName>,
  ): Promise<void> {
    const { signal } = this.#running;
    const packs = new Map<number, Set<number>>();
    const use = (pack: number, slot: number): void => {
      packs.set(pack, (packs.get(pack) ?? new Set()).add(slot));
    };
    const used = async (reference: SlotReference): Promise<void> => {
      const { pack, slot } = await this.#placed(reference, present);
      use(pack, slot);
    };
    for await (const pointer of tree.nodePointers(signal)) {
      await used(pointer);
    }
    for await (const { pointer } of tree.leaves(signal)) {
      await this.#noting(diskId, async () => {
        if (this.#level === 0) {
          const { extents } = await tree.nodes.leaf(pointer, signal);
          for (const extent of extents) {
            await used(extent);
          }
          return;
        }
        for (const { pack, slot } of await tree.nodes.fragments(pointer, signal)) {
          use(pack, slot);
        }
      });
    }
    for (const [pack, slots] of packs) {
      await this.#pack(diskId, pack, present);
      if (this.#level > 1 && this.#checkedPacks.get(pack) === undefined) {
        await this.#frames(diskId, pack, slots);
      }
    }
  }

  /** Where a slot lies: in the pack it is named after, or in the one that was merged into. */
  async #placed(
    reference: SlotReference,
    present: ReadonlyMap<string, PackName>,
  ): Promise<SlotReference> {
    const { ulid } = this.#fetcher.packs.base.numbers.name(reference.pack);
    if (present.has(ulid)) {
      return reference;
    }
    try {
      return await this.#fetcher.packs.place(reference, this.#running.signal);
    } catch (error) {
      integrityFault(error);
      // It is noted as missing with its pack.
      return reference;
    }
  }

  async #pack(diskId: string, pack: number, present: ReadonlyMap<string, PackName>): Promise<void> {
    const known = this.#checkedPacks.get(pack);
    if (this.#checkedPacks.has(pack)) {
      if (known !== undefined) {
        this.#note({ ...known, diskId });
      }
      return;
    }
    const before = this.#problems.length;
    await this.#noting(diskId, async () => {
      const name = this.#fetcher.packs.base.numbers.name(pack);
      const there = present.get(name.ulid);
      if (there === undefined) {
        throw missing(name);
      }
      if (this.#level === 0) {
        await this.#fetcher.packs.checkLength(there, this.#running.signal);
      }
      if (this.#level > 0) {
        const open = await this.#fetcher.packs.open(pack, this.#running.signal);
        const range = { offset: 0, length: HEADER_BYTES };
        const header = await this.#fetcher.packs.range(open, range, this.#running.signal);
        if (!Buffer.from(open.header).equals(header)) {
          throw corrupt(name, 'its header is not what was written');
        }
      }
    });
    this.#checkedPacks.set(pack, this.#problems[before]);
  }

  async #frames(diskId: string, number: number, slots: Set<number>): Promise<void> {
    const { signal } = this.#running;
    const pack = await this.#fetcher.packs.open(number, signal);
    const { footer } = pack;
    const used = new Set([...slots].map((slot) => footer.frameOf[slot] ?? 0));
    const fresh = footer.frames.filter(
      ({ index }) => used.has(index) && !this.#checkedFrames.has(`${number}/${index}`),
    );
    this.#chunks += slots.size;
    this.#progress.totalBytes += fresh.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
    const parallel = new Parallel(REQUESTS_AT_ONCE);
    try {
      for (const request of this.#fetcher.requests(fresh)) {
        await parallel.add(async () => this.#request(number, pack, request));
      }
      await parallel.end();
    } finally {
      await parallel.settle();
    }
    for (const index of used) {
      const damage = this.#checkedFrames.get(`${number}/${index}`);
      if (damage !== undefined) {
        const { code, message } = damagedFrame(pack, index, damage);
        this.#note({ code, message, diskId });
      }
    }
  }

  async #request(number: number, pack: OpenPack, request: FrameRequest): Promise<void> {
    const { signal } = this.#running;
    const bytes = await this.#fetcher.fetch(pack, request, signal);
    const frames = request.frames.map((frame) => fetched(frame, request));
    const wanted = this.#level === 3 && this.#idsComputable;
    const checked = await checkFrames(this.#fetcher, { pack, bytes, frames }, wanted);
    this.#idsComputable &&= checked.idsComputed;
    for (const [position, frame] of frames.entries()) {
      this.#checkedFrames.set(`${number}/${frame.index}`, checked.frames[position]?.damage);
      this.#progress.doneBytes += frame.length;
    }
    this.#running.report?.(this.#progress);
  }

  /** Turns damage into a problem of the report; anything else is thrown. */
  async #noting(diskId: string | undefined, check: () => Promise<unknown>): Promise<void> {
    try {
      await check();
    } catch (error) {
      // Reported: the rest of the point is checked all the same.
      const { code, message } = integrityFault(error);
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
