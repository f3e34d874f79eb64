import { Injectable } from '@nestjs/common';
import type { PointProofs } from '../catalog/point-proofs.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { VaultApart } from '../catalog/stored-vaults.ts';
import { isFault } from '../kernel/fault.ts';
import {
  damagedPacks,
  ledgerOf,
  provenPoints,
  scrubFault,
  scrubVault,
  type PointProven,
} from '../vault/checks/scrub-vault.ts';
import type { ScrubBudget } from '../vault/checks/scrub-queue.ts';
import type { StoreAccess, StoreAddress } from '../vault/store/store-access.ts';
import type { ProofLedger } from '../vault/checks/proof-ledger.ts';
import { repairVault, type RepairReport } from '../vault/repair/repair.ts';
import { onVault, type Running, type UpkeepRequest } from './upkeep-work.ts';

export interface ScrubRequest extends UpkeepRequest {
  /** Default: a 30th of the vault. */
  readonly budget?: ScrubBudget | undefined;
  readonly depth: 'frames' | 'ids';
}

export interface RepairRequest extends UpkeepRequest {
  readonly dryRun: boolean;
  readonly copy?: StoreAddress | undefined;
  readonly overwrite: boolean;
}

export interface ProofCollaborators {
  readonly vaults: Pick<RegisteredVaults, 'openApart'>;
  readonly proofs: Pick<PointProofs, 'scrubbed' | 'keep'>;
  readonly stores: StoreAccess;
}

/** Looks for damage in vaults, and mends it. */
@Injectable()
export class VaultProof {
  constructor(private readonly collaborators: ProofCollaborators) {}

  /**
   * Reads a share of the vault, longest unchecked first, and returns when each point was last
   * proven. If it is stopped, it keeps what it has proven. Damage fails the job, after the whole
   * share was read.
   */
  async scrub({ budget, depth, ...request }: ScrubRequest, running: Running): Promise<object> {
    return onVault(this.collaborators.vaults, request, running, async (opened) => {
      const { vault } = opened;
      const ledger = ledgerOf(opened.vault.inside);
      const options = { ledger, depth, ...(budget === undefined ? {} : { budget }) };
      const scrubbed = await scrubVault(vault.inside, options, running);
      const points = await this.proven(opened, ledger, running);
      return { result: { kind: 'scrub', ...scrubbed, points }, fault: scrubFault(scrubbed) };
    });
  }

  /**
   * Mends what is damaged or missing, from the vault itself and from a copy; or returns what it
   * would do.
   */
  async repair(request: RepairRequest, running: Running): Promise<object> {
    const { dryRun, copy, overwrite } = request;
    const { vaults, stores } = this.collaborators;
    return onVault(vaults, request, running, async (opened, spending) => {
      await using held = new AsyncDisposableStack();
      const meter = (store: Parameters<typeof spending.meter>[0]) =>
        spending.meter(store, copy?.endpoint);
      const other =
        copy === undefined
          ? undefined
          : held.adopt(await stores.open(copy, running.signal, meter), (store) => store.close());
      const report = await repairVault(
        opened.vault.inside,
        {
          dryRun,
          overwrite,
          suspects: await damagedPacks(ledgerOf(opened.vault.inside)),
          ...(other === undefined ? {} : { copy: other }),
        },
        running,
      );
      return { result: { kind: 'repair', dryRun, report: documentOf(report) } };
    });
  }

  /** Returns when each point was last proven, and keeps it in the catalog for lists. */
  private async proven(
    { vault }: VaultApart,
    ledger: ProofLedger,
    { signal, report }: Running,
  ): Promise<PointProven[]> {
    const { proofs } = this.collaborators;
    report({ phase: 'looking at points', doneBytes: 0, totalBytes: 0 });
    try {
      const points = await vault.points(signal);
      const proven = await provenPoints(vault.inside, points, ledger, signal);
      for (const proof of proven) {
        await proofs.scrubbed(vault.id, proof.pointId, proof);
      }
      await proofs.keep(
        vault.id,
        points.map(({ id }) => id),
      );
      return proven;
    } catch (error) {
      if (!isFault(error, 'budget.reached')) {
        throw error;
      }
      // What was read is proven and kept; the next scrub says which points it completes.
      return [];
    }
  }
}

/** Drops what only the repair itself needs. */
function documentOf({ packs, ...report }: RepairReport): object {
  return {
    ...report,
    packs: packs.map(({ pack, outcome, key, bytes, healedSlots, lostSlots }) => ({
      pack,
      outcome,
      ...(key === undefined ? {} : { key }),
      bytes,
      healedSlots,
      lostSlots,
    })),
  };
}
