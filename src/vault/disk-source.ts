import assert from 'node:assert/strict';
import { Fault } from '../kernel/fault.ts';
import type { DiskSource } from './vault-options.ts';

/** docs/vault-format.md, section 7. */
const DISK_BYTES_MAX = 2 ** 50;

/** @throws Fault `request.invalid` if the disk has no size that a map can have */
export function checkSource(source: DiskSource, others: readonly DiskSource[]): void {
  assert(!others.some(({ diskId }) => diskId === source.diskId), 'a disk was added twice');
  if (source.sizeBytes <= 0 || source.sizeBytes > DISK_BYTES_MAX) {
    throw new Fault('request.invalid', `The disk ${source.name} has no size that can be stored.`, {
      sizeBytes: source.sizeBytes,
    });
  }
}
