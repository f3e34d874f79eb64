import { SECTOR_BYTES } from '../../chunks/chunk-cut.ts';
import type { NodePointer } from '../../maps/map-node.ts';
import { MapNodes } from '../../maps/map-tree.ts';
import type { PackFooter } from '../../packs/pack-layout.ts';
import type { PackNumbers } from '../../packs/pack-numbers.ts';
import type { SlotReference } from '../../packs/open-pack.ts';
import { Packs } from '../../packs/packs.ts';
import { mapRoot } from '../../points/point-maps.ts';
import type { PointDocument } from '../../points/point-object.ts';
import { byContent } from '../../points/point-order.ts';
import type { PointName } from '../../points/retirements.ts';
import { ulidTimeMs } from '../../bytes/ulid.ts';
import type { Running } from '../../../kernel/progress.ts';
import type { CollectParts } from '../collect-options.ts';
import { LiveSlots } from '../slots/live-slots.ts';
import { walkPoint, type MapVisitor } from '../../points/map-walk.ts';
import { listPacks, totalSize } from '../rewriting/pack-listing.ts';
import { RootMarking } from '../roots/root-marking.ts';
import { readRoot } from '../roots/root-points.ts';
import { storedBytes } from '../rewriting/stored-bytes.ts';

/** What one point takes. */
export interface PointUsage extends PointName {
  readonly vmName: string;
  readonly takenAtMs: number;
  /** Size of its disks. */
  readonly sizeBytes: number;
  /** Content of its disks other than zeroes, before deduplication and compression. */
  readonly logicalBytes: number;
  /** What the vault would get back if only this point were given up, after compaction. */
  readonly exclusiveBytes: number;
}

export interface Ratios {
  readonly logicalBytes: number;
  /** Content counted once, before compression. */
  readonly uniqueBytes: number;
  /** The same content, as stored. */
  readonly storedBytes: number;
  /** logical / unique, and unique / stored. */
  readonly dedupRatio: number;
  readonly compressionRatio: number;
}

export interface VmUsage extends Ratios {
  readonly vmId: string;
  readonly vmName: string;
  readonly points: number;
}

export interface VaultUsage {
  readonly points: readonly PointUsage[];
  readonly vms: readonly VmUsage[];
  readonly total: Ratios;
  /** Bytes in packs that points need: content and maps. */
  readonly neededBytes: number;
  /** Size of all packs, dead slots included. */
  readonly objectBytes: number;
  readonly objects: number;
  /** Bytes of the packs that are there, by the month they were written in. */
  readonly months: readonly { readonly month: string; readonly bytes: number }[];
  /**
   * Growth per 30 days, from packs of the last 90 days. Undefined for a vault younger than a week.
   */
  readonly growthPerMonthBytes?: number;
}

type PointsUsage = Pick<VaultUsage, 'points' | 'vms' | 'total' | 'neededBytes'>;

const DAY_MS = 86_400_000;
const GROWTH_DAYS = 90;
const GROWTH_DAYS_MIN = 7;

/** Raw and stored bytes of a slot. */
interface SlotSize {
  readonly raw: number;
  readonly stored: number;
}

/** Measures what the points of the vault take. @throws Fault `vault.collect-unsure` */
export async function measureVault(parts: CollectParts, running: Running): Promise<VaultUsage> {
  const measured = await measurePoints(parts, running);
  const listing = await listPacks(parts.base.store, running.signal);
  const months = new Map<string, number>();
  const now = parts.clock.nowMs();
  let objects = 0;
  let recent = 0;
  let oldest = now;
  for (const pack of listing.values()) {
    const atMs = ulidTimeMs(pack.ulid);
    const bytes = totalSize(pack.objects);
    const month = new Date(atMs).toISOString().slice(0, 7);
    months.set(month, (months.get(month) ?? 0) + bytes);
    objects += pack.objects.length;
    oldest = Math.min(oldest, atMs);
    recent += atMs > now - GROWTH_DAYS * DAY_MS ? bytes : 0;
  }
  const days = Math.min(GROWTH_DAYS, (now - oldest) / DAY_MS);
  return {
    ...measured,
    objects,
    objectBytes: [...months.values()].reduce((sum, bytes) => sum + bytes, 0),
    months: [...months]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([month, bytes]) => ({ month, bytes })),
    ...(days < GROWTH_DAYS_MIN ? {} : { growthPerMonthBytes: Math.round((recent / days) * 30) }),
  };
}

/** Measures each point. @throws Fault `vault.collect-unsure` */
export async function measurePoints(parts: CollectParts, running: Running): Promise<PointsUsage> {
  return new Measuring(parts, running).run();
}

/**
 * Walks twice: first to find what more than one point needs, then to add up the rest. Memory is a
 * few bits per slot.
 */
class Measuring {
  readonly #parts: CollectParts;
  readonly #running: Running;
  readonly #nodes: MapNodes;
  readonly #seen: SlotReferences;
  readonly #shared: SlotReferences;
  readonly #total = { unique: 0, stored: 0, maps: 0 };

  constructor(parts: CollectParts, running: Running) {
    const { base, cache, log } = parts;
    this.#parts = parts;
    this.#running = running;
    this.#nodes = new MapNodes(base, new Packs(base, cache, log));
    this.#seen = new SlotReferences(base.numbers);
    this.#shared = new SlotReferences(base.numbers);
  }

  async run(): Promise<PointsUsage> {
    const documents = await this.#documents();
    const logical = new LogicalBytes(this.#nodes, this.#running.signal);
    // Each point is walked twice: to find what is shared, and to add up what is not.
    const totalBytes = 2 * documents.length;
    let doneBytes = 0;
    const walked = (): void => {
      doneBytes += 1;
      this.#running.report?.({ phase: 'measuring', doneBytes, totalBytes, counted: 'maps' });
    };
    for (const document of documents) {
      await this.#findShared(document);
      walked();
    }
    const points: PointUsage[] = [];
    for (const document of documents) {
      const { vmId, id, vmName, takenAtMs, disks } = document;
      points.push({
        vmId,
        id,
        vmName,
        takenAtMs,
        sizeBytes: disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        logicalBytes: await logical.of(document),
        exclusiveBytes: await this.#exclusive(document),
      });
      walked();
    }
    const vms: VmUsage[] = [];
    for (const vmId of new Set(documents.map((document) => document.vmId))) {
      const own = documents.filter((document) => document.vmId === vmId);
      const ownPoints = points.filter((point) => point.vmId === vmId);
      const together = await this.#together(own);
      const vmName = own.at(-1)?.vmName ?? '';
      vms.push({ vmId, vmName, points: own.length, ...ratios(ownPoints, together) });
    }
    const { stored, maps } = this.#total;
    const neededBytes = Math.round(stored + maps);
    return { points, vms, total: ratios(points, this.#total), neededBytes };
  }

  /** Reads all points that are roots, oldest first. */
  async #documents(): Promise<PointDocument[]> {
    const { roots } = await new RootMarking(this.#parts, this.#nodes, this.#running).list();
    const documents: PointDocument[] = [];
    for (const root of roots) {
      const document = await readRoot(this.#parts, root, this.#running.signal);
      if (document !== undefined) {
        documents.push(document);
      }
    }
    return documents.sort(byContent);
  }

  /** A node seen in an earlier point is shared, and so is everything below it. */
  async #findShared(document: PointDocument): Promise<void> {
    const mine = new SlotReferences(this.#parts.base.numbers);
    const visit = (slot: SlotReference): boolean => {
      if (mine.has(slot)) {
        return false;
      }
      return this.#seen.add(slot) ? mine.add(slot) : this.#shared.add(slot);
    };
    const nodes: SlotReference[] = [];
    const visitor: MapVisitor = {
      node: (node) => {
        if (!this.#seen.has(node)) {
          nodes.push(node);
        }
        return visit(node);
      },
      data: (_slot, place) => {
        if (!this.#seen.has(place)) {
          const { raw, stored } = sizeIn(place.footer, place.slot);
          this.#total.unique += raw;
          this.#total.stored += stored;
        }
        visit(place);
      },
      unknown: () => undefined,
    };
    await walkPoint(this.#nodes, document, visitor, this.#running.signal);
    this.#total.maps += await this.#storedBytes(nodes);
  }

  async #exclusive(document: PointDocument): Promise<number> {
    const counted = new SlotReferences(this.#parts.base.numbers);
    const nodes: SlotReference[] = [];
    const { signal } = this.#running;
    let bytes = 0;
    const isOwn = (slot: SlotReference): boolean => !this.#shared.has(slot) && counted.add(slot);
    const visitor: MapVisitor = {
      node: (node) => isOwn(node) && nodes.push(node) > 0,
      data: (_slot, place) => {
        bytes += isOwn(place) ? sizeIn(place.footer, place.slot).stored : 0;
      },
      unknown: () => undefined,
    };
    await walkPoint(this.#nodes, document, visitor, signal);
    return Math.round(bytes + (await this.#storedBytes(nodes)));
  }

  async #storedBytes(nodes: readonly SlotReference[]): Promise<number> {
    let bytes = 0;
    for (const node of nodes) {
      const { open, slot } = await this.#nodes.packs.place(node, this.#running.signal);
      bytes += storedBytes(open.footer, slot);
    }
    return bytes;
  }

  /** Adds up what the points need together, each slot once. */
  async #together(
    documents: readonly PointDocument[],
  ): Promise<{ unique: number; stored: number }> {
    const seen = new SlotReferences(this.#parts.base.numbers);
    const sum = { unique: 0, stored: 0 };
    const visitor: MapVisitor = {
      node: (node) => seen.add(node),
      data: (_slot, place) => {
        if (seen.add(place)) {
          const { raw, stored } = sizeIn(place.footer, place.slot);
          sum.unique += raw;
          sum.stored += stored;
        }
      },
      unknown: () => undefined,
    };
    for (const document of documents) {
      await walkPoint(this.#nodes, document, visitor, this.#running.signal);
    }
    return sum;
  }
}

/** A set of slots, by pack numbers. */
class SlotReferences {
  readonly #slots = new LiveSlots();
  readonly #numbers: PackNumbers;
  readonly #handles: number[] = [];

  constructor(numbers: PackNumbers) {
    this.#numbers = numbers;
  }

  add({ pack, slot }: SlotReference): boolean {
    return this.#slots.add(this.#handle(pack), slot);
  }

  has({ pack, slot }: SlotReference): boolean {
    return this.#slots.has(this.#handle(pack), slot);
  }

  #handle(pack: number): number {
    return (this.#handles[pack] ??= this.#slots.handle(this.#numbers.name(pack).ulid));
  }
}

/** Adds up what maps hold apart from zeroes; remembers the sum below each node. */
class LogicalBytes {
  readonly #nodes: MapNodes;
  readonly #signal: AbortSignal;
  readonly #below = new Map<string, number>();

  constructor(nodes: MapNodes, signal: AbortSignal) {
    this.#nodes = nodes;
    this.#signal = signal;
  }

  async of({ disks }: PointDocument): Promise<number> {
    let sectors = 0;
    for (const disk of disks) {
      const { pointer, depth } = mapRoot(disk, this.#nodes.base.numbers);
      sectors += pointer === undefined ? 0 : await this.#sectors(pointer, depth);
    }
    return sectors * SECTOR_BYTES;
  }

  async #sectors(pointer: NodePointer, level: number): Promise<number> {
    const name = `${pointer.pack}/${pointer.slot}`;
    const known = this.#below.get(name);
    if (known !== undefined) {
      return known;
    }
    let sum = 0;
    if (level === 0) {
      const { extents } = await this.#nodes.leaf(pointer, this.#signal);
      sum = extents.reduce((total, { sectors }) => total + sectors, 0);
    } else {
      const children = await this.#nodes.inner(pointer, level, this.#signal);
      for (const child of children.values()) {
        sum += await this.#sectors(child, level - 1);
      }
    }
    this.#below.set(name, sum);
    return sum;
  }
}

/** Returns the size of a slot of a data pack. */
function sizeIn(footer: PackFooter, slot: number): SlotSize {
  return { raw: footer.size(slot) * SECTOR_BYTES, stored: storedBytes(footer, slot) };
}

function ratios(
  points: readonly PointUsage[],
  { unique, stored }: { readonly unique: number; readonly stored: number },
): Ratios {
  const logicalBytes = points.reduce((sum, point) => sum + point.logicalBytes, 0);
  return {
    logicalBytes,
    uniqueBytes: unique,
    storedBytes: Math.round(stored),
    dedupRatio: unique === 0 ? 1 : logicalBytes / unique,
    compressionRatio: stored === 0 ? 1 : unique / stored,
  };
}
