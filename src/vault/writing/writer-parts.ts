import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import type { DedupIndex } from '../index/dedup-index.ts';
import type { ExcludedSlots } from '../points/excluded-slots.ts';
import type { FooterCache } from '../packs/footer-cache.ts';
import type { MapNodes } from '../maps/map-tree.ts';
import type { SpareBuffers, SpareInputs } from '../tasks/pack-buffer.ts';
import type { PointStore } from '../points/point-store.ts';
import type { OpenedVault } from '../control/opened-vault.ts';
import type { PackPresence } from '../presence/pack-presence.ts';
import type { TaskPool } from '../tasks/task-pool.ts';
import type { CompressionLevel } from '../bytes/zstd.ts';

/** The parts of a vault that a writer works with. */
export interface WriterParts {
  readonly opened: OpenedVault;
  readonly presence: PackPresence;
  readonly nodes: MapNodes;
  readonly points: PointStore;
  readonly excluded: ExcludedSlots;
  readonly index: DedupIndex;
  readonly pool: TaskPool;
  readonly clock: Clock;
  readonly log: Log;
  readonly packBytes: number;
  readonly spare: SpareBuffers;
  readonly inputs: SpareInputs;
  readonly level?: CompressionLevel;
  readonly cache?: FooterCache;
}
