import { createCipheriv } from 'node:crypto';
import {
  mergeExtents,
  overlay,
  type ContentExtent,
  type Extent,
} from '../../../src/disk/extent.ts';
import { KiB, MiB } from '../../../src/kernel/text/bytes.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { seededBytes } from '../random/seeded-bytes.ts';
import { seededNumbers } from '../random/seeded-numbers.ts';

const SECTOR = 4 * KiB;
/** What a hypervisor notes of a write. */
const TRACKED = 64 * KiB;

/** How content compresses: to about a third, a half, two thirds, or not at all. */
export type FileKind = 'database' | 'text' | 'program' | 'film';

export interface GuestFile {
  /** In sectors. */
  readonly start: number;
  readonly sectors: number;
  readonly kind: FileKind;
}

/** A disk with files on it, which knows what was changed since it was last asked. */
export class GuestFiles {
  disk: MemoryDisk;
  files: GuestFile[] = [];
  readonly number: (limit: number) => number;
  private changed: ContentExtent[] = [];
  private free: Extent[];
  private made = 0;
  private searched = 0;
  private readonly seed: number;
  private readonly trims: boolean;

  /** @param trims whether the guest tells the disk what it removed */
  constructor(seed: number, trims: boolean, sizeBytes: number = 48 * MiB) {
    this.seed = seed;
    this.trims = trims;
    this.number = seededNumbers(seed);
    this.disk = new MemoryDisk(sizeBytes);
    this.free = [{ offset: 1, length: sizeBytes / SECTOR - 1 }];
  }

  get usedSectors(): number {
    return this.files.reduce((sum, { sectors }) => sum + sectors, 0);
  }

  get sectors(): number {
    return this.disk.size / SECTOR;
  }

  /** Returns what was changed, and begins anew. */
  takeChanges(): readonly ContentExtent[] {
    const { changed } = this;
    this.changed = [];
    return changed;
  }

  /** Makes files of a kind until they have so many sectors, or there is no room. */
  make(kind: FileKind, sectors: number, largest = 256): GuestFile[] {
    const made: GuestFile[] = [];
    for (let left = sectors; left >= 4;) {
      const file = this.place(Math.min(left, 8 + this.number(largest)), kind);
      if (file === undefined) {
        break;
      }
      left -= file.sectors;
      this.rewrite(file);
      made.push(file);
    }
    return made;
  }

  /** Gives a file, or a part of it, other content of its kind. */
  rewrite({ start, sectors, kind }: GuestFile, from = 0, length = sectors): void {
    const count = Math.min(length, sectors - from);
    this.write(start + from, this.contentOf(kind, count));
  }

  remove(file: GuestFile): void {
    this.files = this.files.filter((other) => other !== file);
    this.free = mergeExtents([...this.free, { offset: file.start, length: file.sectors }]);
    if (this.trims) {
      const extent = { offset: file.start * SECTOR, length: file.sectors * SECTOR };
      this.disk.zero(extent);
      this.changed = overlay(this.changed, [{ ...extent, content: 'zero' }]);
    }
  }

  /** Moves a file elsewhere, as a defragmentation does. */
  move(file: GuestFile): void {
    const content = this.contentAt(file);
    const moved = this.place(file.sectors, file.kind);
    if (moved !== undefined) {
      this.write(moved.start, content);
      this.remove(file);
    }
  }

  /** Encrypts a file where it lies, or into a copy. */
  encrypt(file: GuestFile, how: 'in-place' | 'copy'): void {
    const key = seededBytes(`key ${String(this.seed)} ${String((this.made += 1))}`, 48);
    const cipher = createCipheriv('aes-256-ctr', key.subarray(0, 32), key.subarray(32));
    const content = cipher.update(this.contentAt(file));
    const target = how === 'copy' ? this.place(file.sectors, 'film') : file;
    if (target !== undefined) {
      this.write(target.start, content);
    }
    if (how === 'copy' && target !== undefined) {
      this.remove(file);
    }
  }

  grow(bytes: number): void {
    const { size } = this.disk;
    const grown = new MemoryDisk(size + bytes);
    const content = this.disk.toBytes();
    for (const { start, sectors } of this.files) {
      const [from, to] = [start * SECTOR, (start + sectors) * SECTOR];
      grown.write(from, content.subarray(from, to));
    }
    // What was removed and not trimmed is still there.
    for (const { offset, length } of this.free) {
      const piece = content.subarray(offset * SECTOR, (offset + length) * SECTOR);
      grown.write(offset * SECTOR, piece);
    }
    this.disk = MemoryDisk.of(grown.toBytes());
    this.free = mergeExtents([...this.free, { offset: size / SECTOR, length: bytes / SECTOR }]);
    // The table of partitions.
    this.write(0, seededBytes('partitions', SECTOR));
  }

  some(count: number, kinds: readonly FileKind[]): GuestFile[] {
    const left = this.files.filter(({ kind }) => kinds.includes(kind));
    const chosen: GuestFile[] = [];
    while (chosen.length < count && left.length > 0) {
      chosen.push(...left.splice(this.number(left.length), 1));
    }
    return chosen;
  }

  /** Next fit: what was removed is written over late. */
  private place(sectors: number, kind: FileKind): GuestFile | undefined {
    const fits = this.free.filter(({ length }) => length >= sectors);
    const gap = fits.find(({ offset }) => offset >= this.searched) ?? fits[0];
    if (gap === undefined) {
      return undefined;
    }
    const file = { start: gap.offset, sectors, kind };
    this.searched = gap.offset + sectors;
    const rest = { offset: this.searched, length: gap.length - sectors };
    this.free = this.free.flatMap((other) =>
      other !== gap ? [other] : rest.length > 0 ? [rest] : [],
    );
    this.files.push(file);
    return file;
  }

  private contentAt({ start, sectors }: GuestFile): Uint8Array {
    const bytes = new Uint8Array(sectors * SECTOR);
    this.disk.read(start * SECTOR, bytes);
    return bytes;
  }

  private write(sector: number, content: Uint8Array): void {
    const offset = sector * SECTOR;
    this.disk.write(offset, content);
    const from = Math.floor(offset / TRACKED) * TRACKED;
    const to = Math.ceil((offset + content.length) / TRACKED) * TRACKED;
    const extent = { offset: from, length: Math.min(to, this.disk.size) - from };
    this.changed = overlay(this.changed, [{ ...extent, content: 'data' }]);
  }

  private contentOf(kind: FileKind, sectors: number): Uint8Array {
    this.made += 1;
    const bytes = seededBytes(`${String(this.seed)} ${String(this.made)}`, sectors * SECTOR);
    const mask = { database: 0x07, text: 0x0f, program: 0x1f, film: 0xff }[kind];
    return mask === 0xff ? bytes : bytes.map((byte) => (byte & mask) | 0x40);
  }
}
