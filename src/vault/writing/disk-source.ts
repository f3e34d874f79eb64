import assert from 'node:assert/strict';
import { Fault } from '../../kernel/fault.ts';
import { NAME_CHARACTERS_MAX, POINT_DISKS_MAX, POINT_FILES_MAX } from '../format/limits.ts';
import type { DiskSource } from './new-point.ts';

/** docs/vault-format.md, section 7. */
const DISK_BYTES_MAX = 2 ** 50;
const FILE_BYTES_MAX = 64 * 1024 * 1024;

/** @throws Fault `request.invalid` if no map can have the size of the disk */
export function checkSource(source: DiskSource, others: readonly DiskSource[]): void {
  assert(!others.some(({ diskId }) => diskId === source.diskId), 'a disk was added twice');
  if (source.sizeBytes <= 0 || source.sizeBytes > DISK_BYTES_MAX) {
    throw new Fault('request.invalid', `The disk ${source.name} has no size that can be stored.`, {
      sizeBytes: source.sizeBytes,
    });
  }
  if (others.length >= POINT_DISKS_MAX) {
    throw new Fault('request.invalid', `A recovery point has at most ${POINT_DISKS_MAX} disks.`);
  }
  for (const text of [source.diskId, source.name, source.tracking?.id ?? '']) {
    refuseLongName(text);
  }
}

/**
 * @throws Fault `request.invalid` if a point with this many other files has no room for the file
 */
export function checkFile(name: string, content: Uint8Array, others: number): void {
  refuseLongName(name);
  if (content.length > FILE_BYTES_MAX || others >= POINT_FILES_MAX) {
    throw new Fault(
      'request.invalid',
      `The file ${name.slice(0, 100)} does not fit into a recovery point: at most ${POINT_FILES_MAX} files of ${FILE_BYTES_MAX} bytes.`,
    );
  }
}

/** Checks the name before the work starts. @throws Fault `request.invalid` */
export function refuseLongName(name: string): void {
  if (name.length > NAME_CHARACTERS_MAX) {
    throw new Fault(
      'request.invalid',
      `The name ${name.slice(0, 100)}… has ${name.length} characters, and a recovery point keeps at most ${NAME_CHARACTERS_MAX}. Nothing was stored; shorten the name.`,
    );
  }
}
