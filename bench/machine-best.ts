// The best time for a full backup that this machine could show with our format: hash, compress,
// encrypt and read back every allocated byte on two threads, and do nothing else. No chunk is
// looked up, and no file is written. A real backup is read against it.
import { Worker } from 'node:worker_threads';
import { mustRun } from '../scripts/setup/run.mjs';
import { systemPath } from '../scripts/setup/debian.mjs';

/** The best that this machine could do with the data of one image. */
export interface MachineBest {
  readonly wallS: number;
  readonly cpuS: number;
  readonly readBytes: number;
  readonly storedBytes: number;
}

interface Piece {
  readonly offset: number;
  readonly length: number;
}

const THREADS = 2;
const PIECE_BYTES = 4 * 1024 * 1024;
/** Pieces queued per thread, so that it never waits for the next one. */
const AHEAD = 2;

/** Hash, zstd, AES-GCM and the way back over everything that is allocated, on two threads. */
export async function machineBest(image: string, zstdLevel: number): Promise<MachineBest> {
  const pieces = await allocatedPieces(image);
  const workers = Array.from(
    { length: THREADS },
    () =>
      new Worker(new URL('./machine-best.worker.ts', import.meta.url), {
        workerData: { file: image, zstdLevel },
      }),
  );
  const startedMs = performance.now();
  const before = process.cpuUsage();
  const queue = pieces.values();
  const stored = await Promise.all(workers.map((worker) => feed(worker, queue)));
  const { user, system } = process.cpuUsage(before);
  const wallS = (performance.now() - startedMs) / 1000;
  await Promise.all(workers.map((worker) => worker.terminate()));
  return {
    wallS,
    cpuS: (user + system) / 1e6,
    readBytes: pieces.reduce((sum, { length }) => sum + length, 0),
    storedBytes: stored.reduce((sum, bytes) => sum + bytes, 0),
  };
}

/** Gives pieces to a worker until none is left. @returns the bytes it would have stored */
async function feed(worker: Worker, queue: Iterator<Piece>): Promise<number> {
  return new Promise((resolve, reject) => {
    let under = 0;
    let storedBytes = 0;
    const next = (): void => {
      const piece = queue.next();
      if (piece.done !== true) {
        under += 1;
        worker.postMessage(piece.value);
      } else if (under === 0) {
        resolve(storedBytes);
      }
    };
    worker.on('error', reject);
    worker.on('message', (bytes: number) => {
      storedBytes += bytes;
      under -= 1;
      next();
    });
    for (let count = 0; count < AHEAD; count += 1) {
      next();
    }
  });
}

async function allocatedPieces(image: string): Promise<Piece[]> {
  const { text } = await mustRun('qemu-img', ['map', '--output=json', '-f', 'raw', image], {
    output: 'keep',
    env: { PATH: systemPath(), LANG: 'C' },
  });
  const extents = JSON.parse(text) as { start: number; length: number; data: boolean }[];
  return extents
    .filter(({ data }) => data)
    .flatMap(({ start, length }) =>
      Array.from({ length: Math.ceil(length / PIECE_BYTES) }, (_, index) => ({
        offset: start + index * PIECE_BYTES,
        length: Math.min(PIECE_BYTES, length - index * PIECE_BYTES),
      })),
    );
}
