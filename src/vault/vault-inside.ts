import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { VaultFormat } from './control/format-object.ts';
import type { OpenedVault } from './control/opened-vault.ts';
import type { MapNodes } from './maps/map-tree.ts';
import type { FooterCache } from './packs/footer-cache.ts';
import type { Packs } from './packs/packs.ts';
import type { VaultBase } from './packs/vault-base.ts';
import type { ExcludedSlots } from './points/excluded-slots.ts';
import type { PointStore } from './points/point-store.ts';
import type { ReaderIdentity } from './records/held-lease.ts';
import type { TaskPool } from './tasks/task-pool.ts';

/** The parts of an open vault. */
export interface VaultParts {
  readonly base: VaultBase;
  readonly opened: OpenedVault;
  readonly format: VaultFormat;
  readonly pool: TaskPool;
  readonly clock: Clock;
  readonly log: Log;
  readonly cache?: FooterCache;
  readonly indexEntries?: number;
  /** Under which name points are read. */
  readonly reader: ReaderIdentity;
}

/** For work on a whole vault: proof, repair, collection, copies. */
export interface VaultInside extends VaultParts {
  readonly packs: Packs;
  readonly nodes: MapNodes;
  readonly points: PointStore;
  readonly excluded: ExcludedSlots;
}
