// One thread of machine-best.ts, the best of a full backup: what must be done to every byte, and
// nothing else.
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

const CHUNK_BYTES = 32 * 1024;
const FRAME_BYTES = 2 * 1024 * 1024;

const settings = workerData as { readonly file: string; readonly zstdLevel: number };
const file = openSync(settings.file, 'r');
const key = Buffer.alloc(32, 7);
const hasher = Blake3Hasher.newKeyed(key);
const nonce = Buffer.alloc(12, 1);

function work(offset: number, length: number): number {
  const data = Buffer.allocUnsafe(length);
  readSync(file, data, 0, length, offset);
  let storedBytes = 0;
  for (let start = 0; start < length; start += FRAME_BYTES) {
    const frame = data.subarray(start, Math.min(length, start + FRAME_BYTES));
    for (let at = 0; at < frame.length; at += CHUNK_BYTES) {
      hasher.reset();
      hasher.update(frame.subarray(at, at + CHUNK_BYTES)).digestBuffer();
    }
    storedBytes += storeAndVerify(frame);
  }
  return storedBytes;
}

function storeAndVerify(frame: Buffer): number {
  const packed = zstdCompressSync(frame, {
    chunkSize: frame.length + 4096,
    params: { [constants.ZSTD_c_compressionLevel]: settings.zstdLevel },
  });
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const sealed = [cipher.update(packed), cipher.final()];
  const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAuthTag(cipher.getAuthTag());
  const opened = Buffer.concat([
    ...sealed.map((piece) => decipher.update(piece)),
    decipher.final(),
  ]);
  const again = zstdDecompressSync(opened, { chunkSize: frame.length + 1 });
  if (!again.equals(frame)) {
    throw new Error('a frame did not come back as it was');
  }
  return packed.length;
}

parentPort?.on('message', ({ offset, length }: { offset: number; length: number }) => {
  parentPort?.postMessage(work(offset, length));
});
