import type { Running } from '../../kernel/progress.ts';
import { ulidTimeMs } from '../bytes/ulid.ts';
import { MapNodes } from '../maps/map-tree.ts';
import type { SlotReference } from '../packs/open-pack.ts';
import { Packs } from '../packs/packs.ts';
import { walkPoint } from '../points/map-walk.ts';
import type { PointDocument } from '../points/point-object.ts';
import type { ObjectKey } from '../store/object-store.ts';
import { FrameFetcher } from '../tasks/frame-fetcher.ts';
import type { VaultInside } from '../vault-inside.ts';
import type { VerifyReport } from './verify-report.ts';
import { PackChecks } from './verifying/pack-checks.ts';
import { SlotChecks, type ServedSlots } from './verifying/slot-checks.ts';
import { VerifyProblems } from './verifying/verify-problems.ts';

type Serving = Map<ObjectKey, ServedSlots>;

/** What a point added was read: its packs, the frames and slots in them. */
export type AddedReport = Pick<
  VerifyReport,
  'packs' | 'frames' | 'chunks' | 'fetchedBytes' | 'problems'
>;

/**
 * Reads what a point added to the vault, past all caches: each frame of it is decrypted and
 * decompressed. What it shares with its parent was there before, and is left out with all that lies
 * below it in the map.
 */
export async function verifyAdded(
  { base, pool }: Pick<VaultInside, 'base' | 'pool'>,
  document: PointDocument,
  running: Running,
): Promise<AddedReport> {
  const packs = new Packs(base);
  const fetcher = new FrameFetcher(packs, pool, false);
  const problems = new VerifyProblems();
  const checks = new PackChecks(packs, problems, running.signal);
  const slots = new SlotChecks(fetcher, problems, running);
  const added = new AddedSlots(packs, problems, running.signal);
  await checks.list();
  for (const disk of document.disks) {
    await problems.noting(disk.diskId, async () => {
      for (const served of (await added.of(document, disk)).values()) {
        if (await checks.header(disk.diskId, served.open)) {
          await slots.check(disk.diskId, served);
        }
      }
    });
  }
  return {
    packs: checks.count,
    frames: slots.frameCount,
    chunks: slots.slotCount,
    fetchedBytes: packs.traffic.bytes,
    problems: problems.all,
  };
}

/** Finds what is new in a point, and which objects have it now. */
class AddedSlots {
  readonly #packs: Packs;
  readonly #nodes: MapNodes;
  readonly #problems: VerifyProblems;
  readonly #signal: AbortSignal;

  constructor(packs: Packs, problems: VerifyProblems, signal: AbortSignal) {
    this.#packs = packs;
    this.#nodes = new MapNodes(packs.base, packs);
    this.#problems = problems;
    this.#signal = signal;
  }

  /** @throws Fault whatever keeps the new part of the map from being read whole */
  async of(document: PointDocument, disk: PointDocument['disks'][number]): Promise<Serving> {
    const sinceMs = addedSinceMs(document);
    const isNew = ({ pack }: Pick<SlotReference, 'pack'>): boolean =>
      ulidTimeMs(this.#packs.base.numbers.name(pack).ulid) >= sinceMs;
    const found: SlotReference[] = [];
    const lost = new Set<number>();
    const note = (slot: SlotReference): boolean => {
      const isAdded = isNew(slot);
      if (isAdded) {
        found.push({ pack: slot.pack, slot: slot.slot });
      }
      return isAdded;
    };
    const visitor = { node: note, data: note, unknown: (pack: number) => lost.add(pack) };
    await walkPoint(this.#nodes, { ...document, files: [], disks: [disk] }, visitor, this.#signal);
    for (const pack of lost) {
      await this.#problems.noting(disk.diskId, async () => this.#packs.open(pack, this.#signal));
    }
    return this.#serving(disk.diskId, found);
  }

  async #serving(diskId: string, found: readonly SlotReference[]): Promise<Serving> {
    const serving: Serving = new Map();
    for (const reference of found) {
      await this.#problems.noting(diskId, async () => {
        const { open, slot } = await this.#packs.place(reference, this.#signal);
        const served: ServedSlots = serving.get(open.objectKey) ?? { open, slots: new Map() };
        serving.set(open.objectKey, served);
        served.slots.set(slot, reference);
      });
    }
    return serving;
  }
}

/**
 * Returns the time from which on packs count as added: those of earlier attempts that were
 * interrupted too, because no point has them yet. By the clock of the host, whose packs these are,
 * if that of the parent's is ahead.
 */
function addedSinceMs({ parent, takenAtMs }: PointDocument): number {
  return parent === undefined ? 0 : Math.min(ulidTimeMs(parent.id), takenAtMs);
}
