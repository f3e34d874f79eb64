/**
 * How fast a disk is read through qemu-nbd: `node bench/nbd.ts [MiB]`. Files lie in the folder for
 * temporary files.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DiskReader } from '../src/disk/disk-reader.ts';
import type { ImageFormat } from '../src/formats/image-layer.ts';
import { createImage, openImage } from '../src/formats/image.ts';
import { QemuNbdServer } from '../src/formats/qemu-nbd.ts';
import { MiB } from '../src/kernel/text/bytes.ts';
import { NbdDiskReader } from '../src/nbd/nbd-disk-reader.ts';
import { seededBytes } from '../test/support/random/seeded-bytes.ts';

const READ_BYTES = MiB;
const READS_AT_ONCE = 16;
const ROUNDS = 3;

const size = Number(process.argv[2] ?? '1024') * MiB;
const signal = AbortSignal.timeout(600_000);
const folder = await mkdtemp(join(tmpdir(), 'hk-bench-'));

/** Reads the whole disk and returns bytes per second. */
async function rateOf(disk: DiskReader): Promise<number> {
  const started = performance.now();
  let next = 0;
  const reader = async (): Promise<void> => {
    const target = new Uint8Array(new SharedArrayBuffer(READ_BYTES));
    while (next < size) {
      const offset = next;
      next += READ_BYTES;
      await disk.read(offset, target, signal);
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, reader));
  return size / ((performance.now() - started) / 1000);
}

async function report(name: string, open: () => Promise<DiskReader>): Promise<void> {
  const rates: number[] = [];
  const before = process.cpuUsage();
  for (let round = 0; round < ROUNDS; round++) {
    await using disk = await open();
    rates.push(await rateOf(disk));
  }
  const { user, system } = process.cpuUsage(before);
  const cpuSeconds = (user + system) / 1e6 / ROUNDS;
  const median = rates.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
  console.log(
    `${name.padEnd(38)} ${(median / 1e9).toFixed(2)} GB/s   ${cpuSeconds.toFixed(2)} s CPU of ours`,
  );
}

try {
  const content = seededBytes('bench', 64 * MiB);
  for (const format of ['raw', 'qcow2'] satisfies ImageFormat[]) {
    const path = join(folder, `disk.${format}`);
    const image = await createImage(path, format, size, signal);
    const started = performance.now();
    for (let offset = 0; offset < size; offset += content.length) {
      await image.write(
        offset,
        content.subarray(0, Math.min(content.length, size - offset)),
        signal,
      );
    }
    const seconds = (performance.now() - started) / 1000;
    console.log(`${`write ${format}`.padEnd(38)} ${(size / seconds / 1e9).toFixed(2)} GB/s`);
    await image.flush(signal);
    await image.close();
    await report(`read ${format}, as openImage does`, async () => openImage(path, format, signal));
    for (const connections of [1, 2, 4]) {
      await using server = await QemuNbdServer.start({ layers: [{ path, format }] }, signal);
      const address = { socketPath: server.socketPath };
      await report(`read ${format} over NBD, ${String(connections)} connections`, async () =>
        NbdDiskReader.open(address, signal, { connections }),
      );
    }
  }
} finally {
  await rm(folder, { recursive: true });
}
