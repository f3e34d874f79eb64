import { randomUUID } from 'node:crypto';
import type { ChangeSet, TrackingState } from '../../../src/disk/change-set.ts';
import type { DiskReader } from '../../../src/disk/disk-reader.ts';
import {
  overlay,
  type Content,
  type ContentExtent,
  type Extent,
} from '../../../src/disk/extent.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import type { DiskDefinition } from '../../../src/vm/definition.ts';
import { changesSince, clip, type ChangeRecord } from '../../../src/engines/change-history.ts';
import type { FrozenDisk } from '../../../src/engines/engine.ts';

/** A disk in memory that keeps a change log by the same rules as real disks. */
export class FakeDisk {
  definition: DiskDefinition;
  private content: MemoryDisk;
  private tracking: TrackingState = { id: randomUUID(), generation: 0 };
  private readonly records = new Map<number, ChangeRecord>();
  private changed: ContentExtent[] = [];
  private frozenSizeBytes: number;

  constructor(definition: DiskDefinition) {
    this.definition = definition;
    this.content = new MemoryDisk(definition.sizeBytes);
    this.frozenSizeBytes = definition.sizeBytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.content.write(offset, bytes);
    this.note({ offset, length: bytes.length }, 'data');
  }

  writeUnnoticed(offset: number, bytes: Uint8Array): void {
    this.content.write(offset, bytes);
  }

  zero(extent: Extent): void {
    this.content.zero(extent);
    this.note(extent, 'zero');
  }

  async resize(sizeBytes: number, signal: AbortSignal): Promise<void> {
    const resized = new MemoryDisk(sizeBytes);
    const kept = { offset: 0, length: Math.min(sizeBytes, this.content.size) };
    await using reader = this.content.reader();
    for await (const { offset, length, content } of reader.extents(signal, kept)) {
      if (content === 'data') {
        const bytes = new Uint8Array(length);
        await reader.read(offset, bytes, signal);
        resized.write(offset, bytes);
      }
    }
    this.content = resized;
    this.definition = { ...this.definition, sizeBytes };
    this.changed = clip(this.changed, sizeBytes);
  }

  reader(): DiskReader {
    return this.content.reader();
  }

  /** Acts as if somebody had touched the disk behind the engine's back. */
  replaceTracking(): void {
    this.tracking = { id: randomUUID(), generation: 0 };
    this.records.clear();
  }

  /** Acts as if the change log had been lost. */
  forgetChanges(): void {
    this.records.clear();
  }

  freeze(neededGeneration: number | undefined): FrozenDisk {
    const tracking = { id: this.tracking.id, generation: this.tracking.generation + 1 };
    this.tracking = tracking;
    this.records.set(tracking.generation, {
      generation: tracking.generation,
      previousSizeBytes: this.frozenSizeBytes,
      sizeBytes: this.content.size,
      extents: this.changed,
    });
    this.changed = [];
    this.frozenSizeBytes = this.content.size;
    this.prune(neededGeneration);
    const records = new Map(this.records);
    return {
      diskId: this.definition.id,
      name: this.definition.name,
      sizeBytes: this.content.size,
      tracking,
      reader: this.content.reader(),
      changedSince: async (state): Promise<ChangeSet> =>
        changesSince(state, tracking, async (generation) => records.get(generation)),
    };
  }

  /** A state of generation g needs the records after g. */
  private prune(neededGeneration: number | undefined): void {
    for (const generation of this.records.keys()) {
      if (neededGeneration !== undefined && generation <= neededGeneration) {
        this.records.delete(generation);
      }
    }
  }

  private note(extent: Extent, content: Content): void {
    if (extent.length > 0) {
      this.changed = overlay(this.changed, [{ ...extent, content }]);
    }
  }
}
