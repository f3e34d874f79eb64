import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { DedupIndex } from './dedup-index.ts';
import type { ExcludedSlots } from './excluded-slots.ts';
import type { FooterCache } from './footer-cache.ts';
import type { MapNodes } from './map-tree.ts';
import type { SpareBuffers, SpareInputs } from './pack-buffer.ts';
import type { PointStore } from './point-store.ts';
import type { OpenedVault } from './presence/opened-vault.ts';
import type { PackPresence } from './presence/pack-presence.ts';
import type { WorkerPool } from './worker-pool.ts';
import type { CompressionLevel } from './zstd.ts';

/** The parts of a vault that a writer works with. */
export interface WriterParts {
  readonly opened: OpenedVault;
  readonly presence: PackPresence;
  readonly nodes: MapNodes;
  readonly points: PointStore;
  readonly excluded: ExcludedSlots;
  readonly index: DedupIndex;
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly log: Log;
  readonly packBytes: number;
  readonly spare: SpareBuffers;
  readonly inputs: SpareInputs;
  readonly level?: CompressionLevel;
  readonly cache?: FooterCache;
}
