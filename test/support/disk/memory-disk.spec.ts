import { describeDiskReader, describeDiskWriter } from '../../contract/disk.contract.ts';
import { MemoryDisk } from './memory-disk.ts';

describeDiskReader('MemoryDisk', async (model) => model.reader());

describeDiskWriter('MemoryDisk', async (size) => {
  const disk = new MemoryDisk(size);
  return { writer: disk.writer(), readBack: async () => disk.toBytes() };
});

describe('MemoryDisk', () => {
  it('keeps a reader on the content it was opened on', async () => {
    const disk = MemoryDisk.of(new Uint8Array(10_000).fill(7));
    const reader = disk.reader();

    disk.zero({ offset: 0, length: 10_000 });

    const target = new Uint8Array(10_000);
    await reader.read(0, target, AbortSignal.timeout(1000));
    expect(target).toEqual(new Uint8Array(10_000).fill(7));
    expect(disk.toBytes()).toEqual(new Uint8Array(10_000));
  });
});
