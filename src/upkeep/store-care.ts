import { Injectable } from '@nestjs/common';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import { keepLocks } from '../vault/lock/keeper.ts';
import { storeTrial } from '../vault/probe/store-trial.ts';
import { onVault, type Running, type UpkeepRequest } from './upkeep-work.ts';

export interface KeepRequest extends UpkeepRequest {
  /** Extends everything that is needed, due or not. */
  readonly everything: boolean;
}

/** Checks what the store of a vault can do, and extends its locks. */
@Injectable()
export class StoreCare {
  constructor(private readonly vaults: Pick<RegisteredVaults, 'openApart'>) {}

  /** Tries what the store can do, and keeps the result with the vault. */
  async probe(request: UpkeepRequest, running: Running): Promise<object> {
    const asked = { ...request, role: 'administrator' } as const;
    return onVault(this.vaults, asked, running, async ({ vault }) => {
      running.report({ phase: 'trying the store', doneBytes: 0, totalBytes: 0 });
      const capabilities = await vault.probe({}, running.signal);
      return { result: { kind: 'probe', trial: storeTrial(capabilities) } };
    });
  }

  /** Extends the locks of what recovery points need. @throws Fault `vault.not-locked` */
  async keep({ everything, ...request }: KeepRequest, running: Running): Promise<object> {
    const asked = { ...request, role: 'keeper' } as const;
    return onVault(this.vaults, asked, running, async ({ vault }) => ({
      result: { kind: 'keep', report: await keepLocks(vault.inside, { everything }, running) },
    }));
  }
}
