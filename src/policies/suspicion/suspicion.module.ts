import { Module, type OnModuleInit } from '@nestjs/common';
import { PointCatalog } from '../../catalog/point-catalog.ts';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import { SuspicionRows } from '../../catalog/suspicion/suspicion-rows.ts';
import { Clock } from '../../kernel/clock.ts';
import { Log } from '../../kernel/log.ts';
import { PointRetention } from '../../upkeep/point-retention.ts';
import { UpkeepModule } from '../../upkeep/upkeep.module.ts';
import { RetentionModule } from '../retention/deciding/retention.module.ts';
import { Retention } from '../retention/deciding/retention.service.ts';
import { Suspicions } from './suspicions.service.ts';

/** Enough to write a hold, and to read it back. */
const HOLD_MS_MAX = 60_000;

/** Notices content that looks encrypted. */
@Module({
  imports: [UpkeepModule, RetentionModule],
  providers: [
    {
      provide: Suspicions,
      inject: [SuspicionRows, PointCatalog, RegisteredVaults, PointRetention, Clock, Log],
      useFactory: (
        rows: SuspicionRows,
        points: PointCatalog,
        vaults: RegisteredVaults,
        ...[retention, clock, log]: [PointRetention, Clock, Log]
      ) => new Suspicions({ rows, points, vaults, retention, clock, log }),
    },
  ],
  exports: [Suspicions],
})
export class SuspicionModule implements OnModuleInit {
  constructor(
    private readonly suspicions: Suspicions,
    private readonly points: PointCatalog,
    private readonly retention: Retention,
    private readonly log: Log,
  ) {}

  onModuleInit(): void {
    this.points.onPut(async (vaultId, { vmId, vmName }) => {
      try {
        // With a signal of its own: the point is sealed, whatever becomes of its job.
        const signal = AbortSignal.timeout(HOLD_MS_MAX);
        await this.suspicions.weigh({ vaultId, vmId, vmName }, signal);
      } catch (error) {
        this.log.error('suspicion.not-judged', { vaultId, vmId, error });
      }
    });
    this.retention.blockedBy(async (vaultId) => this.suspicions.blocks(vaultId));
  }
}
