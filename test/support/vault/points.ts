import type { PointDisk, RecoveryPoint } from '../../../src/vault/points/recovery-point.ts';

/** A disk of a recovery point; what a test does not name is plain. */
export function pointDisk(facts: Partial<PointDisk> = {}): PointDisk {
  return {
    diskId: '0b0f3a80-7b5a-4c53-8d5c-6f1f0f8f0001',
    name: 'disk0',
    sizeBytes: 1024 * 1024,
    method: 'full',
    reason: 'imported-image',
    statistics: { readBytes: 0, newBytes: 0, storedBytes: 0 },
    ...facts,
  };
}

/** A recovery point with a definition that fits its disks. */
export function recoveryPoint(facts: Partial<RecoveryPoint> = {}): RecoveryPoint {
  const {
    vmId = '0b0f3a80-7b5a-4c53-8d5c-6f1f0f8f1000',
    vmName = 'web',
    disks = [pointDisk()],
  } = facts;
  return {
    id: '01KAPX0000000000000000000A',
    vmId,
    vmName,
    takenAtMs: 1_790_000_000_000,
    consistency: 'imported',
    notes: [],
    configuration: {
      id: vmId,
      name: 'web',
      disks: disks.map(({ diskId, sizeBytes }, index) => ({
        id: diskId,
        name: `disk${String(index)}`,
        path: `/old/host/disk${String(index)}.qcow2`,
        format: 'qcow2',
        sizeBytes,
      })),
      nics: [{ mac: '52:54:00:00:00:01' }],
    },
    disks,
    files: [],
    ...facts,
  };
}
