import type { Running } from '../../kernel/progress.ts';
import type { NodePointer } from '../maps/map-node.ts';
import type { MapTree } from '../maps/map-tree.ts';
import type { SlotReference } from '../packs/open-pack.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { FrameFetcher } from '../tasks/frame-fetcher.ts';
import type { VerifyLevel, VerifyReport } from './verify-report.ts';
import { PackChecks } from './verifying/pack-checks.ts';
import { SlotChecks, type ServedSlots } from './verifying/slot-checks.ts';
import { VerifyProblems } from './verifying/verify-problems.ts';

export interface VerifyTarget {
  readonly pointId: string;
  readonly disks: readonly { readonly diskId: string; readonly tree: MapTree }[];
  /** Each reads one file of the point and proves it. */
  readonly files: readonly (() => Promise<unknown>)[];
  /** Proves that the parent, if it is still there, is the point that this one was made from. */
  readonly parent: () => Promise<unknown>;
}

type Serving = Map<ObjectKey, ServedSlots>;

/**
 * Checks a recovery point against the store itself, so give it packs and nodes without caches. It
 * reports what is wrong, and throws only what prevents the check, such as a lost connection. Damage
 * counts against the point only if readers find no other place where the content is whole.
 */
export class Verification {
  readonly #fetcher: FrameFetcher;
  readonly #level: VerifyLevel;
  readonly #signal: AbortSignal;
  readonly #problems = new VerifyProblems();
  readonly #packs: PackChecks;
  readonly #slots: SlotChecks;

  /** @param fetcher must check ids at level 3, and not below */
  constructor(fetcher: FrameFetcher, level: VerifyLevel, running: Running) {
    this.#fetcher = fetcher;
    this.#level = level;
    this.#signal = running.signal;
    this.#packs = new PackChecks(fetcher.packs, this.#problems, running.signal);
    this.#slots = new SlotChecks(fetcher, this.#problems, running);
  }

  async run({ pointId, disks, files, parent }: VerifyTarget): Promise<VerifyReport> {
    await this.#packs.list();
    for (const { diskId, tree } of disks) {
      await this.#problems.noting(diskId, async () => this.#disk(diskId, tree));
    }
    if (this.#level > 0) {
      for (const check of [...files, parent]) {
        await this.#problems.noting(undefined, check);
      }
    }
    return this.#report(pointId);
  }

  /** Finds the objects that serve the disk; checks each, and what the disk needs of it. */
  async #disk(diskId: string, tree: MapTree): Promise<void> {
    const serving = await this.#serving(diskId, tree);
    for (const served of serving.values()) {
      const isWhole = await this.#packs.header(diskId, served.open);
      if (isWhole && this.#level > 1) {
        await this.#slots.check(diskId, served);
      }
    }
  }

  async #serving(diskId: string, tree: MapTree): Promise<Serving> {
    const serving: Serving = new Map();
    for await (const pointer of tree.nodePointers(this.#signal)) {
      await this.#find(diskId, pointer, serving);
    }
    for await (const { pointer } of tree.leaves(this.#signal)) {
      await this.#problems.noting(diskId, async () => {
        for (const reference of await this.#slotsOf(tree, pointer)) {
          await this.#find(diskId, reference, serving);
        }
      });
    }
    return serving;
  }

  /**
   * Returns the slots to check. At level 0 the first slot of each extent is enough while all packs
   * are there under their own names.
   */
  async #slotsOf({ nodes }: MapTree, pointer: NodePointer): Promise<readonly SlotReference[]> {
    if (this.#level > 0) {
      return nodes.fragments(pointer, this.#signal);
    }
    const { extents } = await nodes.leaf(pointer, this.#signal);
    const areThere = extents.every((extent) => this.#newest(extent) !== undefined);
    return areThere ? extents : nodes.fragments(pointer, this.#signal);
  }

  /** At level 0 a pack that is there, with its whole length, is taken to have the slot. */
  async #find(diskId: string, reference: SlotReference, serving: Serving): Promise<void> {
    const there = this.#level === 0 ? this.#newest(reference) : undefined;
    if (there !== undefined) {
      await this.#packs.length(diskId, there);
      return;
    }
    await this.#problems.noting(diskId, async () => {
      const { open, slot } = await this.#fetcher.packs.place(reference, this.#signal);
      const served: ServedSlots = serving.get(open.objectKey) ?? { open, slots: new Map() };
      serving.set(open.objectKey, served);
      served.slots.set(slot, reference);
    });
  }

  #newest({ pack }: Pick<SlotReference, 'pack'>): ReturnType<PackChecks['newest']> {
    return this.#packs.newest(this.#fetcher.packs.base.numbers.name(pack).ulid);
  }

  #report(pointId: string): VerifyReport {
    const { ids, packs } = this.#fetcher;
    const isComplete = ids.areAvailable;
    return {
      pointId,
      level: isComplete || this.#level < 3 ? this.#level : 2,
      ...(isComplete ? {} : { stoppedBy: 'vault.chunk-id-unavailable' as const }),
      ok: this.#problems.all.length === 0,
      packs: this.#packs.count,
      frames: this.#slots.frameCount,
      chunks: this.#slots.slotCount,
      fetchedBytes: packs.traffic.bytes,
      problems: this.#problems.all,
    };
  }
}
