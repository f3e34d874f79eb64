import assert from 'node:assert/strict';
import { type DiskReader } from '../../disk/disk-reader.ts';
import { type DiskWriter } from '../../disk/disk-writer.ts';

/* eslint-disable @typescript-eslint/no-unused-vars -- signatures first; formats follows */
export function openImage(path: string, format: string, signal: AbortSignal): Promise<DiskReader> {
  return assert.fail('not built yet');
}
export function createImage(
  path: string,
  format: string,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<DiskWriter> {
  return assert.fail('not built yet');
}
