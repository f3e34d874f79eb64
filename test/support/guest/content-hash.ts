import { createHash, type Hash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { runCommand } from '../../../src/kernel/command.ts';

const BLOCK_BYTES = 4096;
const PIECE_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

interface MapEntry {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
}

/**
 * SHA-256 of what a raw image holds: its size, and each block that is not zero with its place.
 * Images that read the same have the same hash, however sparse they are; holes cost nothing.
 */
export async function contentHash(rawFile: string, signal: AbortSignal): Promise<string> {
  const words = ['map', '--output=json', '-f', 'raw', rawFile];
  const { stdout } = await runCommand('qemu-img', words, signal);
  await using file = await open(rawFile);
  const { size } = await file.stat();
  const hash = createHash('sha256').update(String(size));
  const piece = Buffer.alloc(PIECE_BYTES);
  let position = 0;
  for (const { start, length, zero } of JSON.parse(stdout) as MapEntry[]) {
    const end = zero ? 0 : Math.min(start + length, size);
    position = Math.max(position, start - (start % BLOCK_BYTES));
    while (position < end) {
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, position);
      addBlocks(hash, piece.subarray(0, bytesRead), position);
      position += bytesRead;
    }
  }
  return hash.digest('hex');
}

function addBlocks(hash: Hash, content: Buffer, position: number): void {
  for (let at = 0; at < content.length; at += BLOCK_BYTES) {
    const block = content.subarray(at, at + BLOCK_BYTES);
    if (!block.equals(ZEROS.subarray(0, block.length))) {
      hash.update(`${String(position + at)} `).update(block);
    }
  }
}
