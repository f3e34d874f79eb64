import { Module, type OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { PointCatalog } from '../catalog/point-catalog.ts';
import { PointProofs } from '../catalog/point-proofs.ts';
import { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { VaultUse } from '../catalog/vault-use/vault-use.ts';
import type { UpkeepKind } from '../jobs/job.ts';
import { Jobs } from '../jobs/jobs.ts';
import { vaultNeeds } from '../jobs/vault-needs.ts';
import { Clock } from '../kernel/clock.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { Log } from '../kernel/log.ts';
import { StoreAccess } from '../vault/store/store-access.ts';
import { PointRetention } from './point-retention.ts';
import { StoreCare } from './store-care.ts';
import { upkeepJobs } from './upkeep.jobs.ts';
import { VaultDestruction } from './vault-destruction.ts';
import { VaultCopies } from './vault-copies.ts';
import { VaultProof } from './vault-proof.ts';
import { VaultSpace } from './vault-space.ts';

/** The care of vaults as jobs of the service. */
@Module({
  providers: [
    {
      provide: PointRetention,
      inject: [RegisteredVaults, Log],
      useFactory: (vaults: RegisteredVaults, log: Log) => new PointRetention(vaults, log),
    },
    {
      provide: VaultSpace,
      inject: [RegisteredVaults, PointCatalog],
      useFactory: (vaults: RegisteredVaults, points: PointCatalog) =>
        new VaultSpace(vaults, points),
    },
    {
      provide: StoreCare,
      inject: [RegisteredVaults],
      useFactory: (vaults: RegisteredVaults) => new StoreCare(vaults),
    },
    {
      provide: VaultProof,
      inject: [RegisteredVaults, PointProofs, StoreAccess],
      useFactory: (vaults: RegisteredVaults, proofs: PointProofs, stores: StoreAccess) =>
        new VaultProof({ vaults, proofs, stores }),
    },
    {
      provide: VaultDestruction,
      inject: [RegisteredVaults, VaultUse, Clock, HostIdentity, Log],
      useFactory: (
        vaults: RegisteredVaults,
        use: VaultUse,
        ...[clock, host, log]: [Clock, HostIdentity, Log]
      ) => new VaultDestruction({ vaults, use, clock, host, log }),
    },
    {
      provide: VaultCopies,
      inject: [RegisteredVaults, StoreAccess, Clock],
      useFactory: (vaults: RegisteredVaults, stores: StoreAccess, clock: Clock) =>
        new VaultCopies({ vaults, stores, clock }),
    },
  ],
  exports: [PointRetention],
})
export class UpkeepModule implements OnModuleInit {
  constructor(
    private readonly jobs: Jobs,
    private readonly modules: ModuleRef,
    private readonly vaults: RegisteredVaults,
  ) {}

  onModuleInit(): void {
    this.vaults.onTrouble((vaultId, trouble) => {
      this.jobs.tell(vaultId, trouble);
    });
    const runs = upkeepJobs({
      retention: this.modules.get(PointRetention),
      space: this.modules.get(VaultSpace),
      store: this.modules.get(StoreCare),
      proof: this.modules.get(VaultProof),
      copies: this.modules.get(VaultCopies),
      destruction: this.modules.get(VaultDestruction),
    });
    for (const [kind, run] of Object.entries(runs)) {
      this.jobs.register(kind as UpkeepKind, run, vaultNeeds(kind as UpkeepKind));
    }
  }
}
