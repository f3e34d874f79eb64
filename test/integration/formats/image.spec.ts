import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DiskReader } from '../../../src/disk/disk-reader.ts';
import type { DiskWriter } from '../../../src/disk/disk-writer.ts';
import type { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { ChainReader } from '../../../src/formats/chain-reader.ts';
import { imageGraph, type ImageFormat } from '../../../src/formats/image-layer.ts';
import { createImage, openImage } from '../../../src/formats/image.ts';
import { createOverlay, imageFacts } from '../../../src/formats/qemu-img.ts';
import { QemuNbdServer } from '../../../src/formats/qemu-nbd.ts';
import { runCommand } from '../../../src/kernel/command.ts';
import { NbdDiskWriter } from '../../../src/nbd/nbd-disk-writer.ts';
import { describeDiskReader, describeDiskWriter } from '../../contract/disk.contract.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';

const MiB = 1024 * 1024;
const signal = AbortSignal.timeout(280_000);

let folder: string;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-test-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

function newPath(format: ImageFormat): string {
  count += 1;
  return join(folder, `${String(count)}, x.${format}`);
}

/** An image with the content of the model, made by our own writer. */
async function imageOf(model: MemoryDisk, format: ImageFormat): Promise<string> {
  const path = newPath(format);
  await using image = await createImage(path, format, model.size, signal);
  await using reader = model.reader();
  for await (const { offset, length, content } of reader.extents(signal)) {
    if (content === 'data') {
      const bytes = new Uint8Array(length);
      await reader.read(offset, bytes, signal);
      await image.write(offset, bytes, signal);
    }
  }
  await image.flush(signal);
  return path;
}

async function readWhole(disk: DiskReader, size = disk.size): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  await disk.read(0, bytes, signal);
  return bytes;
}

describeDiskReader('A raw image', async (model) =>
  openImage(await imageOf(model, 'raw'), 'raw', signal),
);

describeDiskReader(
  'A qcow2 image',
  async (model) => openImage(await imageOf(model, 'qcow2'), undefined, signal),
  { sizeUnit: 512 },
);

for (const format of ['raw', 'qcow2'] as const) {
  describeDiskWriter(`A new ${format} image`, async (size) => {
    const path = newPath(format);
    const writer = await createImage(path, format, size, signal);
    return {
      writer,
      readBack: async () => {
        await writer.flush(signal);
        await writer.close();
        await using disk = await openImage(path, format, signal);
        return await readWhole(disk, size);
      },
    };
  });

  describe(`A new ${format} image`, () => {
    it('takes the space of its data only, and gives back what is zeroed', async () => {
      const path = newPath(format);
      const image = await createImage(path, format, 1024 * MiB, signal);
      await image.write(512 * MiB, seededBytes('x', 8 * MiB), signal);
      await image.zero({ offset: 0, length: 513 * MiB }, signal);
      await image.flush(signal);
      await image.close();

      const { allocatedSize, virtualSize } = await imageFacts({ path, format }, signal);
      expect(virtualSize).toBe(1024 * MiB);
      expect(allocatedSize).toBeGreaterThanOrEqual(7 * MiB);
      expect(allocatedSize).toBeLessThan(8 * MiB);
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    });

    it('never overwrites a file', async () => {
      const path = newPath(format);
      await writeFile(path, 'precious');

      await expect(createImage(path, format, MiB, signal)).rejects.toMatchObject({
        code: 'formats.image-exists',
      });
      expect(await readFile(path, 'utf8')).toBe('precious');
    });

    it('says that the disk of the host is full', async () => {
      const mount = await mkdtemp(join(folder, 'small-'));
      await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'hk-test', mount], signal);
      try {
        const image = await createImage(join(mount, 'disk'), format, 64 * MiB, signal);
        const outcome = await fill(image).catch((error: unknown) => error);
        await image.close();

        expect(outcome).toMatchObject({ code: 'host.disk-full' });
      } finally {
        await runCommand('umount', [mount], signal);
      }
    });
  });
}

async function fill(image: DiskWriter): Promise<void> {
  for (let offset = 0; offset < image.size; offset += MiB) {
    await image.write(offset, seededBytes('full', MiB), signal);
  }
  await image.flush(signal);
}

describe('openImage', () => {
  it('reads no holes of a large sparse raw file', async () => {
    const path = newPath('raw');
    await using file = await open(path, 'wx');
    await file.truncate(1024 ** 4);
    await file.write(seededBytes('x', 4096), 0, 4096, 700 * 1024 ** 3);

    await using disk = await openImage(path, 'raw', signal);
    const found = [];
    for await (const extent of disk.extents(signal)) {
      found.push(extent);
    }

    expect(disk.rawFile).toBe(path);
    expect(found).toEqual([
      { offset: 0, length: 700 * 1024 ** 3, content: 'zero' },
      { offset: 700 * 1024 ** 3, length: 4096, content: 'data' },
      { offset: 700 * 1024 ** 3 + 4096, length: 324 * 1024 ** 3 - 4096, content: 'zero' },
    ]);
  });

  it('refuses an overlay, whose base a header may name as it likes', async () => {
    const path = newPath('qcow2');
    const backing = { path: '/etc/shadow', format: 'raw' } as const;
    await createOverlay({ path, backing, sizeBytes: MiB }, signal);

    await expect(openImage(path, 'qcow2', signal)).rejects.toMatchObject({
      code: 'formats.outside-reference',
    });
  });

  it('refuses an image whose content lies in another file', async () => {
    const path = newPath('qcow2');
    const options = ['-f', 'qcow2', '-o', 'data_file=outside.img'];
    await runCommand('qemu-img', ['create', '-q', ...options, path, '1M'], signal, {
      workingFolder: folder,
    });

    await expect(openImage(path, 'qcow2', signal)).rejects.toMatchObject({
      code: 'formats.outside-reference',
    });
  });

  it('refuses an image that is being written', async () => {
    const path = newPath('qcow2');
    const image = await createImage(path, 'qcow2', MiB, signal);

    await expect(openImage(path, 'qcow2', signal)).rejects.toMatchObject({
      code: 'formats.image-in-use',
    });
    await image.close();
  });

  it('leaves no process and no descriptor behind', async () => {
    const path = newPath('qcow2');
    await using image = await createImage(path, 'qcow2', MiB, signal);
    await image.flush(signal);
    await image.close();
    const before = (await readdir('/proc/self/fd')).length;

    for (let round = 0; round < 5; round++) {
      await using disk = await openImage(path, 'qcow2', signal);
      await readWhole(disk);
    }

    // Files that an earlier test left to close may close meanwhile.
    expect((await readdir('/proc/self/fd')).length).toBeLessThanOrEqual(before);
    const children = await readFile(`/proc/self/task/${String(process.pid)}/children`, 'utf8');
    expect(children.trim()).toBe('');
  });
});

describe('ChainReader', () => {
  it('reads layers as one disk and tells what the last one changed', async () => {
    const { layers, content } = await madeChain();

    await using disk = await ChainReader.open(layers, signal);

    const changed = [];
    for await (const extent of disk.layerExtents(signal)) {
      changed.push(extent);
    }
    expect(Buffer.compare(await readWhole(disk), content)).toBe(0);
    expect(changed).toEqual([
      { offset: 0, length: 8192, content: 'data' },
      { offset: 2 * MiB, length: MiB, content: 'zero' },
    ]);
  });

  it('holds off a merge into a layer that is being read', async () => {
    const { layers } = await madeChain();
    await using disk = await ChainReader.open(layers, signal);

    const graph = imageGraph(layers, { writable: true });
    const merge = runCommand('qemu-img', ['commit', '-q', '-d', graph], signal);

    await expect(merge).rejects.toThrow('lock');
    expect(disk.size).toBe(8 * MiB);
  });
});

/** A raw base of 8 MiB with an overlay that changes 8 KiB and zeroes 1 MiB. */
async function madeChain() {
  const content = Buffer.from(seededBytes('base', 8 * MiB));
  const base = { path: newPath('raw'), format: 'raw' } as const;
  const top = { path: newPath('qcow2'), format: 'qcow2' } as const;
  await writeFile(base.path, content);
  await createOverlay({ path: top.path, backing: base, sizeBytes: content.length }, signal);
  const layers = [base, top] as const;
  await using server = await QemuNbdServer.start({ layers, writable: true }, signal);
  await using disk = await NbdDiskWriter.open({ socketPath: server.socketPath }, signal);
  const change = seededBytes('top', 8192);
  await disk.write(0, change, signal);
  await disk.zero({ offset: 2 * MiB, length: MiB }, signal);
  await disk.flush(signal);
  content.set(change, 0);
  content.fill(0, 2 * MiB, 3 * MiB);
  return { layers, content };
}

describe('facts of an image that is not there', () => {
  it('name the image, not the tool', async () => {
    await expect(
      imageFacts({ path: '/no/such/image.qcow2', format: 'qcow2' }, signal),
    ).rejects.toMatchObject({
      code: 'formats.image-missing',
      message: expect.stringMatching(/^There is no image [/]no[/]such[/]image[.]qcow2/) as unknown,
    });
  });
});
