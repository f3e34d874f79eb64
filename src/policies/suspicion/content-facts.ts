import type { RecoveryPoint } from '../../vault/points/recovery-point.ts';

/** What suspicion needs to know of a point. */
export type WeighedPoint = Pick<RecoveryPoint, 'id' | 'disks'>;

/** What one point did to the content of its VM, over all disks, in bytes. */
export interface ContentFacts {
  readonly pointId: string;
  readonly read: number;
  readonly fresh: number;
  readonly stored: number;
  /** New content where the point before had other content, and what it takes in the vault. */
  readonly replacing: number;
  readonly replacingStored: number;
  readonly cleared: number;
  /** What is not zero; of points that do not say it, the size. */
  readonly content: number;
  /** Whether a disk was read whole, or is new or of another size. */
  readonly isWhole: boolean;
}

/**
 * Returns what each point did, oldest first. Points that do not say it are left out: those of
 * earlier programs, and those with nothing before them.
 */
export function contentFacts(points: readonly WeighedPoint[]): ContentFacts[] {
  return points.flatMap((point, index) => factsOf(point, points[index - 1]) ?? []);
}

function factsOf(
  { id, disks }: WeighedPoint,
  before: WeighedPoint | undefined,
): ContentFacts | undefined {
  const sizes = new Map(before?.disks.map(({ diskId, sizeBytes }) => [diskId, sizeBytes]));
  if (!disks.some(({ diskId }) => sizes.has(diskId))) {
    return undefined;
  }
  const sums = { read: 0, fresh: 0, stored: 0, replacing: 0, replacingStored: 0, cleared: 0 };
  let content = 0;
  for (const { statistics, sizeBytes } of disks) {
    const { replacingBytes, replacingStoredBytes, clearedBytes, contentBytes } = statistics;
    if (replacingBytes === undefined || replacingStoredBytes === undefined) {
      return undefined;
    }
    sums.read += statistics.readBytes;
    sums.fresh += statistics.newBytes;
    sums.stored += statistics.storedBytes;
    sums.replacing += replacingBytes;
    sums.replacingStored += replacingStoredBytes;
    sums.cleared += clearedBytes ?? 0;
    content += contentBytes ?? sizeBytes;
  }
  const isWhole = disks.some(
    ({ method, diskId, sizeBytes }) => method === 'full' || sizes.get(diskId) !== sizeBytes,
  );
  return { pointId: id, ...sums, content, isWhole };
}
