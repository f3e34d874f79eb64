import { createHash } from 'node:crypto';
import type { ChangeSet } from '../../../src/disk/change-set.ts';
import type { DiskReader } from '../../../src/disk/disk-reader.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import type { ObjectStore } from '../../../src/vault/store/object-store.ts';
import { MemoryObjectStore } from './memory-object-store.ts';
import type { PointOrigin } from '../../../src/vault/format/point-origin.ts';
import type { RecoveryPoint } from '../../../src/vault/points/recovery-point.ts';
import type {
  CreateOptions,
  OpenOptions,
  VaultParameters,
} from '../../../src/vault/access/vault-options.ts';
import type { NewPoint } from '../../../src/vault/writing/new-point.ts';
import { Vault, type PointWriter } from '../../../src/vault/vault.ts';

export const signal = new AbortController().signal;
export const PASSPHRASE = 'a passphrase for tests';
export const FULL: ChangeSet = { method: 'full', reason: 'requested' };
export const VM = { vmId: '11111111-2222-4333-8444-555555555555', vmName: 'web' };
export const DISK = 'disk-1';

/** Cheap keys and small packs. */
const PARAMETERS: Partial<VaultParameters> = {
  kdf: { memoryKib: 64, passes: 1, lanes: 1 },
  packBytes: 256 * 1024,
};

export async function createVault(
  store: ObjectStore = new MemoryObjectStore(),
  options: Partial<CreateOptions> = {},
): Promise<{ vault: Vault; recoveryFile: string }> {
  const parameters = { ...PARAMETERS, ...options.parameters };
  return Vault.create(
    store,
    { name: 'test', passphrase: PASSPHRASE, workers: 0, ...options, parameters },
    signal,
  );
}

export async function openVault(store: ObjectStore, options: OpenOptions = {}): Promise<Vault> {
  const unlock = { kind: 'passphrase', passphrase: PASSPHRASE } as const;
  return Vault.open(store, unlock, { workers: 0, ...options }, signal);
}

export interface BackupOptions {
  readonly changes?: ChangeSet;
  readonly vm?: NewPoint;
  readonly diskId?: string;
  readonly reader?: DiskReader;
  readonly origin?: PointOrigin;
  /** Between the last disk and the commit. */
  readonly beforeCommit?: (writer: PointWriter) => Promise<void>;
}

/** Takes a recovery point of one disk. */
export async function backUp(
  vault: Vault,
  disk: Pick<MemoryDisk, 'size'> & { reader(): DiskReader },
  options: BackupOptions = {},
): Promise<RecoveryPoint> {
  await using writer = await vault.beginPoint(options.vm ?? VM, signal);
  const reader = options.reader ?? disk.reader();
  const changes = options.changes ?? FULL;
  const { diskId = DISK } = options;
  const source = { diskId, name: 'system', sizeBytes: disk.size, reader, changes };
  await writer.addDisk(source, { signal });
  await writer.addFile('nvram', Buffer.from('settings'), signal);
  await options.beforeCommit?.(writer);
  const facts = {
    takenAtMs: 1,
    consistency: 'crash',
    notes: [],
    configuration: { cpus: 2 },
    ...(options.origin && { origin: options.origin }),
  } as const;
  return await writer.commit(facts, signal);
}

/** The disk of a point, restored. */
export async function restored(
  vault: Vault,
  point: { id: string },
  size: number,
): Promise<MemoryDisk> {
  const disk = new MemoryDisk(size);
  await vault.restoreDisk({ pointId: point.id, diskId: DISK }, disk.writer(), { signal });
  return disk;
}

/** A hash of size and content that reads only what holds data. */
export async function fingerprint(reader: DiskReader): Promise<string> {
  const PIECE = 4096;
  const hash = createHash('sha256').update(String(reader.size));
  for await (const { offset, length, content } of reader.extents(signal)) {
    if (content === 'zero') {
      continue;
    }
    const start = Math.floor(offset / PIECE) * PIECE;
    for (let at = start; at < offset + length; at += PIECE) {
      const piece = new Uint8Array(Math.min(PIECE, reader.size - at));
      await reader.read(at, piece, signal);
      if (piece.some((byte) => byte !== 0)) {
        hash.update(`@${at}`).update(piece);
      }
    }
  }
  return hash.digest('hex');
}
