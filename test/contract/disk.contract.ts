import type { DiskReader } from '../../src/disk/disk-reader.ts';
import type { DiskWriter } from '../../src/disk/disk-writer.ts';
import type { ContentExtent, Extent } from '../../src/disk/extent.ts';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { isAbort } from '../../src/kernel/fault.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';

const MiB = 1024 * 1024;
const WAIT_MS = 30_000;

/** Opens a disk with the content of the model. */
export type OpenDisk = (model: MemoryDisk) => Promise<DiskReader>;

/** A new disk, and what a reader of it sees when it is finished. */
export interface NewDisk {
  readonly writer: DiskWriter;
  /** Finishes the disk and returns its whole content. */
  readBack(): Promise<Uint8Array>;
}

export interface ReaderFacts {
  /** Bytes that the size of a disk must be a multiple of. Default 1. */
  readonly sizeUnit?: number;
}

/** Data at both ends, a hole in the middle, data that straddles every usual block border. */
function sampleDisk(sizeUnit: number): MemoryDisk {
  const size = 6 * MiB + (sizeUnit === 1 ? 777 : sizeUnit);
  const disk = new MemoryDisk(size);
  disk.write(0, seededBytes('front', 300_000));
  disk.write(2 * MiB - 5, seededBytes('middle', MiB));
  disk.write(size - 1000, seededBytes('end', 1000));
  return disk;
}

/** What every DiskReader promises. */
export function describeDiskReader(name: string, open: OpenDisk, facts: ReaderFacts = {}): void {
  describe(`${name} as a DiskReader`, () => {
    const model = sampleDisk(facts.sizeUnit ?? 1);
    const bytes = model.toBytes();
    const signal = (): AbortSignal => AbortSignal.timeout(WAIT_MS);

    it('knows the size', async () => {
      await using disk = await open(model);

      expect(disk.size).toBe(model.size);
    });

    it.each<Extent>([
      { offset: 0, length: 1 },
      { offset: 0, length: 4096 },
      { offset: 511, length: 513 },
      { offset: 299_000, length: 5000 },
      { offset: 4 * MiB, length: 100 },
      { offset: 2 * MiB - 100, length: 3 * MiB },
      { offset: model.size - 1, length: 1 },
      { offset: 0, length: model.size },
      { offset: 17, length: 0 },
    ])('reads $offset+$length', async ({ offset, length }) => {
      await using disk = await open(model);
      const target = new Uint8Array(length).fill(0xaa);

      await disk.read(offset, target, signal());

      expect(Buffer.compare(target, bytes.subarray(offset, offset + length))).toBe(0);
    });

    it('reads many ranges at once, into shared memory', async () => {
      await using disk = await open(model);
      const target = new Uint8Array(new SharedArrayBuffer(model.size)).fill(0xaa);
      const step = 77_777;
      const reads: Promise<void>[] = [];

      for (let offset = 0; offset < model.size; offset += step) {
        reads.push(disk.read(offset, target.subarray(offset, offset + step), signal()));
      }
      await Promise.all(reads);

      expect(Buffer.compare(target, bytes)).toBe(0);
    });

    it.each<[string, Extent | undefined]>([
      ['the whole disk', undefined],
      ['a part', { offset: 1000, length: 3 * MiB }],
      ['one byte', { offset: model.size - 1, length: 1 }],
      ['nothing', { offset: 4096, length: 0 }],
    ])('says what %s holds', async (_what, within) => {
      await using disk = await open(model);

      const found: ContentExtent[] = [];
      for await (const extent of disk.extents(signal(), within)) {
        found.push(extent);
      }

      const asked = within ?? { offset: 0, length: model.size };
      let position = asked.offset;
      for (const extent of found) {
        expect(extent.offset).toBe(position);
        expect(extent.length).toBeGreaterThan(0);
        position += extent.length;
        if (extent.content === 'zero') {
          const held = bytes.subarray(extent.offset, position);
          expect(held.every((byte) => byte === 0)).toBe(true);
        }
      }
      expect(position).toBe(asked.offset + asked.length);
    });

    it('knows the big hole as zero', async () => {
      await using disk = await open(model);

      let zeroes = 0;
      for await (const { content, length } of disk.extents(signal())) {
        zeroes += content === 'zero' ? length : 0;
      }

      expect(zeroes).toBeGreaterThan(2 * MiB);
    });

    it('refuses a range behind the end', async () => {
      await using disk = await open(model);

      await expect(disk.read(model.size - 1, new Uint8Array(2), signal())).rejects.toThrow();
    });

    it('stops when it is told to', async () => {
      await using disk = await open(model);

      const outcome = await disk
        .read(0, new Uint8Array(4096), AbortSignal.abort())
        .catch((error: unknown) => error);

      expect(isAbort(outcome)).toBe(true);
    });

    it('can be closed twice', async () => {
      const disk = await open(model);

      await disk.close();
      await disk.close();
    });
  });
}

/** What every DiskWriter promises. */
export function describeDiskWriter(
  name: string,
  create: (size: number) => Promise<NewDisk>,
  facts: ReaderFacts = {},
): void {
  describe(`${name} as a DiskWriter`, () => {
    const size = 5 * MiB + (facts.sizeUnit ?? 123);
    const signal = (): AbortSignal => AbortSignal.timeout(WAIT_MS);

    it('leaves a disk that was never written full of zeroes', async () => {
      const disk = await create(size);

      const found = await disk.readBack();

      expect(disk.writer.size).toBe(size);
      expect(Buffer.compare(found, new Uint8Array(size))).toBe(0);
    });

    it('keeps what was written, in any order and at once', async () => {
      const model = new MemoryDisk(size);
      const disk = await create(size);
      const pieces = [
        { offset: size - 5000, data: seededBytes('last', 5000) },
        { offset: 3, data: seededBytes('first', 2 * MiB) },
        { offset: 4 * MiB, data: seededBytes('short', 1) },
        { offset: 4 * MiB + 1, data: new Uint8Array(0) },
      ];

      await Promise.all(
        pieces.map(async ({ offset, data }) => {
          const shared = new Uint8Array(new SharedArrayBuffer(data.length));
          shared.set(data);
          model.write(offset, data);
          await disk.writer.write(offset, shared, signal());
        }),
      );
      await disk.writer.flush(signal());

      expect(Buffer.compare(await disk.readBack(), model.toBytes())).toBe(0);
    });

    it('makes ranges zero that were written and that were not', async () => {
      const model = new MemoryDisk(size);
      const disk = await create(size);
      const data = seededBytes('all', 3 * MiB);
      model.write(MiB, data);
      await disk.writer.write(MiB, data, signal());

      for (const extent of [
        { offset: 0, length: MiB + 1 },
        { offset: 2 * MiB - 700, length: MiB },
        { offset: size - 10, length: 10 },
        { offset: 17, length: 0 },
      ]) {
        model.zero(extent);
        await disk.writer.zero(extent, signal());
      }
      const again = seededBytes('again', 4096);
      model.write(2 * MiB, again);
      await disk.writer.write(2 * MiB, again, signal());

      expect(Buffer.compare(await disk.readBack(), model.toBytes())).toBe(0);
    });

    it('refuses what leaves the disk', async () => {
      const disk = await create(size);

      await expect(disk.writer.write(size - 1, new Uint8Array(2), signal())).rejects.toThrow();
      await expect(disk.writer.zero({ offset: size, length: 1 }, signal())).rejects.toThrow();
      await disk.readBack();
    });

    it('stops when it is told to', async () => {
      const disk = await create(size);

      const outcome = await disk.writer
        .write(0, new Uint8Array(4096), AbortSignal.abort())
        .catch((error: unknown) => error);

      expect(isAbort(outcome)).toBe(true);
      await disk.readBack();
    });
  });
}
