import { DiskReader } from './disk-reader.ts';
import type { ContentExtent } from './extent.ts';
import { ReadAhead } from './read-ahead.ts';

const KiB = 1024;
const SIZE = 16 * 1024 * KiB + 100;
const { signal } = new AbortController();

/** Keeps what is read from it waiting until it is let go. */
class SlowDisk extends DiskReader {
  override readonly size = SIZE;
  readonly reads: { offset: number; length: number }[] = [];
  isBroken = false;
  isClosed = false;
  gate: Promise<unknown> | undefined;

  override async read(offset: number, target: Uint8Array, aborted: AbortSignal): Promise<void> {
    this.reads.push({ offset, length: target.length });
    await Promise.race([
      this.gate,
      new Promise((resolve) => {
        aborted.addEventListener('abort', resolve);
      }),
    ]);
    aborted.throwIfAborted();
    if (this.isBroken) {
      throw new Error('broken');
    }
    target.fill(offset % 251);
  }

  override async *extents(): AsyncIterable<ContentExtent> {
    yield { offset: 0, length: SIZE, content: 'data' };
  }

  override async close(): Promise<void> {
    this.isClosed = true;
  }
}

function opened(): { disk: SlowDisk; reader: ReadAhead } {
  const disk = new SlowDisk();
  disk.gate = Promise.resolve();
  const options = { pieceBytes: 1024 * KiB, windowBytes: 4096 * KiB };
  return { disk, reader: new ReadAhead(disk, options) };
}

async function read(reader: DiskReader, offset: number, length = 64 * KiB): Promise<Uint8Array> {
  const target = new Uint8Array(length);
  await reader.read(offset, target, signal);
  return target;
}

describe('ReadAhead', () => {
  it('reads the window behind reads that follow each other, each byte once', async () => {
    const { disk, reader } = opened();

    await read(reader, 0);
    expect(disk.reads).toHaveLength(1);
    await read(reader, 64 * KiB);
    for (let offset = 128 * KiB; offset < 2048 * KiB; offset += 64 * KiB) {
      await read(reader, offset);
    }

    const ahead = disk.reads.filter(({ length }) => length === 1024 * KiB);
    const offsets = ahead.map(({ offset }) => offset / KiB);
    expect(offsets).toEqual([128, 1152, 2176, 3200, 4224, 5248].slice(0, offsets.length));
    expect(offsets.length).toBeGreaterThanOrEqual(5);
  });

  it('reads nothing ahead of reads here and there, and not behind the end', async () => {
    const { disk, reader } = opened();
    for (const place of [0, 9000, 3000, 12_000, 6000]) {
      await read(reader, place * KiB);
    }
    expect(disk.reads).toHaveLength(5);

    await read(reader, SIZE - 128 * KiB);
    await read(reader, SIZE - 64 * KiB);

    expect(disk.reads.every(({ offset, length }) => offset + length <= SIZE)).toBe(true);
    expect(disk.reads).toHaveLength(7);
  });

  it('follows several readers at once', async () => {
    const { disk, reader } = opened();
    for (let step = 0; step < 3; step++) {
      await read(reader, step * 64 * KiB);
      await read(reader, 8192 * KiB + step * 64 * KiB);
    }

    const ahead = disk.reads.filter(({ length }) => length === 1024 * KiB);
    expect(ahead.filter(({ offset }) => offset < 8192 * KiB)).not.toHaveLength(0);
    expect(ahead.filter(({ offset }) => offset > 8192 * KiB)).not.toHaveLength(0);
  });

  it('tells nobody that reading ahead failed, but whoever reads there', async () => {
    const { disk, reader } = opened();
    await read(reader, 0);
    const second = read(reader, 64 * KiB);
    disk.isBroken = true;
    await expect(second).rejects.toThrow('broken');
    await expect(read(reader, 128 * KiB)).rejects.toThrow('broken');
    disk.isBroken = false;

    expect((await read(reader, 192 * KiB))[0]).toBe((192 * KiB) % 251);
  });

  it('ends what it reads ahead when it is closed', async () => {
    const { disk, reader } = opened();
    await read(reader, 0);
    disk.gate = new Promise(() => undefined);
    const waiting = read(reader, 64 * KiB).catch(() => undefined);
    expect(disk.reads.length).toBeGreaterThan(2);

    await reader.close();

    expect(disk.isClosed).toBe(true);
    void waiting;
  });
});
