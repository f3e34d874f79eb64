import { Fault } from '../kernel/fault.ts';
import { Engine, type AcceptedDisk, type Claim, type FrozenVm, type VmSummary } from './engine.ts';

/** For a service that only cares for vaults: it has no VMs, and touches none of the host. */
export class NoEngine extends Engine {
  override readonly kind = 'none';

  override async ids(): Promise<string[]> {
    return [];
  }

  override async list(): Promise<VmSummary[]> {
    return [];
  }

  override async get(): Promise<VmSummary> {
    throw none();
  }

  override async add(): Promise<VmSummary> {
    throw none();
  }

  override async claim(): Promise<Claim> {
    throw none();
  }

  override async start(): Promise<void> {
    throw none();
  }

  override async stop(): Promise<void> {
    throw none();
  }

  override async release(): Promise<never> {
    throw none();
  }

  override async destroy(): Promise<void> {
    throw none();
  }

  override async freeze(): Promise<FrozenVm> {
    throw none();
  }

  override async runInGuest(): Promise<never> {
    throw none();
  }

  override async oweGuest(): Promise<void> {
    throw none();
  }

  override async payGuest(): Promise<never> {
    throw none();
  }

  override async distrust(): Promise<void> {
    throw none();
  }

  override async accept(): Promise<AcceptedDisk[]> {
    throw none();
  }

  override async reconcile(): Promise<string[]> {
    return [];
  }

  override giveUpMerges(): void {
    // There are none.
  }

  override async close(): Promise<void> {
    // Nothing is open.
  }
}

function none(): Fault {
  return new Fault(
    'engine.none',
    'This service only cares for vaults (serve --role collector): it has no VMs. Ask the service of the host that has them.',
  );
}
