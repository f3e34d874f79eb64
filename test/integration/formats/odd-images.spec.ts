import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageFormat } from '../../../src/formats/image-layer.ts';
import { createImage, openImage } from '../../../src/formats/image.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { backUp, createVault, DISK } from '../../support/vault/vault-lab.ts';

const MIB = 2 ** 20;
const TIB = 2 ** 40;
const signal = AbortSignal.timeout(280_000);

let folder: string;
let vault: Vault;
let source: string;
let count = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hk-odd-'));
  source = join(folder, 'source.raw');
  const content = Buffer.alloc(6 * MIB);
  seededBytes('odd a', 700_000).forEach((byte, at) => (content[65_000 + at] = byte));
  seededBytes('odd b', 300_000).forEach((byte, at) => (content[5 * MIB + 511 + at] = byte));
  writeFileSync(source, content);
  ({ vault } = await createVault());
});
afterAll(async () => {
  await vault.close();
  rmSync(folder, { recursive: true });
});

function qemuImg(...words: readonly string[]): string {
  return execFileSync('qemu-img', words, { encoding: 'utf8' });
}

/** What an independent program reads from the image. */
function hashOf(image: string, format: ImageFormat): string {
  const raw = format === 'raw' ? image : join(folder, 'as-raw');
  if (format === 'qcow2') {
    qemuImg('convert', '-f', 'qcow2', '-O', 'raw', image, raw);
  }
  return createHash('sha256').update(readFileSync(raw)).digest('hex');
}

/** Makes a recovery point of the image, a next one of its VM, and restores it. */
async function comesBack(image: string, vmId: string, format: ImageFormat): Promise<string> {
  await using reader = await openImage(image, format, signal);
  const { size } = reader;
  const disk = { size, reader: () => reader };
  const { id } = await backUp(vault, disk, { vm: { vmId, vmName: vmId } });
  count += 1;
  const path = join(folder, `back-${String(count)}`);
  writeFileSync(path, '');
  await using writer = await createImage(path, format, size, signal);
  await vault.restoreDisk({ pointId: id, diskId: DISK }, writer, { signal });
  await writer.flush(signal);
  return path;
}

describe('a recovery point of an image is what another program reads from it', () => {
  it.each([
    'compat=0.10',
    'compression_type=zstd',
    'extended_l2=on,cluster_size=128k',
    'cluster_size=512',
    'cluster_size=2M',
    'refcount_bits=1',
    'refcount_bits=64',
    'lazy_refcounts=on',
    'preallocation=metadata',
  ])('qcow2 with %s', async (options) => {
    const image = join(folder, `${options}.qcow2`);
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', '-o', options, source, image);

    expect(hashOf(await comesBack(image, 'kinds', 'qcow2'), 'qcow2')).toBe(hashOf(source, 'raw'));
  });

  it('qcow2 with internal snapshots and bitmaps, compressed, resized, with a tail', async () => {
    const image = join(folder, 'lived.qcow2');
    qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', source, image);
    const steps: readonly (() => unknown)[] = [
      () => qemuImg('snapshot', '-c', 'one', image),
      () => execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 9 1M 70k', image]),
      () => qemuImg('snapshot', '-a', 'one', image),
      () => qemuImg('snapshot', '-d', 'one', image),
      () => qemuImg('bitmap', '--add', image, 'changes'),
      () => qemuImg('bitmap', '--remove', image, 'changes'),
      () => qemuImg('resize', '-f', 'qcow2', image, '9M'),
      () => qemuImg('resize', '-f', 'qcow2', '--shrink', image, '2M'),
      () => {
        appendFileSync(image, Buffer.alloc(70_000, 3));
      },
    ];
    for (const step of steps) {
      step();

      const expected = hashOf(image, 'qcow2');
      expect(hashOf(await comesBack(image, 'lived', 'qcow2'), 'qcow2')).toBe(expected);
    }
  });

  it('raw of any size, also of a disk that changes its size', async () => {
    const image = join(folder, 'sizes.raw');
    for (const size of [1, 511, 4095, 16 * MIB, 5_000_705, 65_537]) {
      writeFileSync(image, Buffer.concat([Buffer.alloc(size - 1, size % 251), Buffer.from([7])]));

      const back = await comesBack(image, 'sizes', 'raw');

      expect([size, hashOf(back, 'raw')]).toEqual([size, hashOf(image, 'raw')]);
    }
  });

  it('a disk of many TiB, in little time and room', async () => {
    const image = join(folder, 'huge.qcow2');
    qemuImg('create', '-q', '-f', 'qcow2', image, String(8 * TIB));
    for (const offset of ['0', '3T', '7T']) {
      execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P 77 ${offset} 200k`, image]);
    }

    const back = await comesBack(image, 'huge', 'qcow2');

    const compared = qemuImg('compare', '-f', 'qcow2', '-F', 'qcow2', image, back);
    expect(compared).toContain('Images are identical');
  });
});
