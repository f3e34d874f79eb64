import { Injectable } from '@nestjs/common';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { Clock } from '../kernel/clock.ts';
import { copyFault, estimateCopy } from '../vault/copy/copy-estimate.ts';
import { VaultCopy } from '../vault/copy/vault-copy.ts';
import type { ObjectStores, StorePlace } from '../vault/object-stores.ts';
import { onVault, type Running, type UpkeepRequest } from './upkeep-work.ts';

export interface CopyRequest extends UpkeepRequest {
  readonly dryRun: boolean;
  readonly to: StorePlace;
  /** On average. */
  readonly bytesPerSecond?: number | undefined;
  readonly readBack: boolean;
}

export interface CopyCollaborators {
  readonly vaults: Pick<RegisteredVaults, 'openApart'>;
  readonly stores: ObjectStores;
  readonly clock: Clock;
}

/** Makes and refreshes copies of vaults at other places. */
@Injectable()
export class VaultCopies {
  constructor(private readonly collaborators: CopyCollaborators) {}

  /** Sends what the copy lacks, or says what that would be. Stopped anywhere, the next one goes on. */
  async copy(request: CopyRequest, running: Running): Promise<object> {
    const { vaults, stores, clock } = this.collaborators;
    const { to, dryRun, readBack, bytesPerSecond } = request;
    const startMs = clock.monotonicMs();
    return onVault(vaults, request, running, async ({ store: source }, spending) => {
      await using held = new AsyncDisposableStack();
      const target = held.adopt(
        await stores.open(to, running.signal, (store) => spending.meter(store, to.endpoint)),
        (store) => store.close(),
      );
      const rate = bytesPerSecond === undefined ? {} : { bytesPerSecond };
      const copy = new VaultCopy({ source, target, clock, readBack, ...rate });
      const facts = (): object => ({
        kind: 'copy',
        to: target.location,
        durationMs: clock.monotonicMs() - startMs,
      });
      if (dryRun) {
        const plan = await copy.plan(running);
        const estimate = estimateCopy(plan, { isLimited: bytesPerSecond !== undefined, readBack });
        const costs = [
          spending.costOf(estimate.source, source.location),
          spending.costOf(estimate.target, target.location),
        ].filter((cost) => cost !== undefined);
        return { result: { ...facts(), plan, estimate, costs } };
      }
      const report = await copy.run(running);
      return { result: { ...facts(), report }, fault: copyFault(report) };
    });
  }
}
