import assert from 'node:assert/strict';
import type { DiskReader } from '../disk/disk-reader.ts';
import type { DiskWriter } from '../disk/disk-writer.ts';
import type { ObjectStore } from './object-store.ts';
import type { PointDisk, RecoveryPoint } from './recovery-point.ts';
import type {
  CreateOptions,
  DiskSource,
  OpenOptions,
  PointFacts,
  RestoreStatistics,
  Running,
  VaultUnlock,
  VerifyLevel,
  VerifyReport,
} from './vault-options.ts';

/* eslint-disable @typescript-eslint/no-unused-vars -- signatures first; bodies follow at once */
export abstract class Vault {
  declare readonly id: string;
  declare readonly name: string;
  static async create(
    store: ObjectStore,
    options: CreateOptions,
    signal: AbortSignal,
  ): Promise<{ vault: Vault; recoveryFile: string }> {
    return assert.fail('not built yet');
  }
  static async open(
    store: ObjectStore,
    unlock: VaultUnlock,
    options: OpenOptions,
    signal: AbortSignal,
  ): Promise<Vault> {
    return assert.fail('not built yet');
  }
  abstract exportKey(): Uint8Array;
  abstract points(signal: AbortSignal, vmId?: string): Promise<RecoveryPoint[]>;
  abstract point(idOrPrefix: string, signal: AbortSignal): Promise<RecoveryPoint>;
  abstract vms(signal: AbortSignal): Promise<{ vmId: string; vmName: string }[]>;
  abstract beginPoint(
    vm: { vmId: string; vmName: string },
    signal: AbortSignal,
  ): Promise<PointWriter>;
  abstract openDisk(pointId: string, diskId: string, signal: AbortSignal): Promise<DiskReader>;
  abstract restoreDisk(
    disk: { pointId: string; diskId: string },
    writer: DiskWriter,
    running: Running,
  ): Promise<RestoreStatistics>;
  abstract readFile(pointId: string, name: string, signal: AbortSignal): Promise<Uint8Array>;
  abstract verify(pointId: string, level: VerifyLevel, running: Running): Promise<VerifyReport>;
  abstract retire(pointId: string, signal: AbortSignal): Promise<void>;
  abstract close(): Promise<void>;
}

export abstract class PointWriter implements AsyncDisposable {
  /** The newest sealed point of this VM: what `changed-extents` must be relative to. */
  declare readonly parent?: RecoveryPoint;
  abstract addDisk(source: DiskSource, running: Running): Promise<PointDisk>;
  abstract addFile(name: string, content: Uint8Array, signal: AbortSignal): Promise<void>;
  abstract commit(facts: PointFacts, signal: AbortSignal): Promise<RecoveryPoint>;
  abstract [Symbol.asyncDispose](): Promise<void>;
}
