import { backupKey, type BackupParameters } from '../backup/backup.job.ts';
import type { RegisteredVaults } from '../catalog/registered-vaults.ts';
import type { Job } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { currentActor } from '../kernel/actor.ts';
import { isFault, type Fault } from '../kernel/fault.ts';
import { jobLimits } from './document/job-limits.ts';
import { selectVms, type SelectableVm } from './document/selector.ts';
import type { KnownPolicy } from './known-policy.ts';

/** What became of one VM of a policy that was started by hand. */
export interface StartedVm {
  readonly vm: SelectableVm;
  /** Undefined if it was refused. */
  readonly job?: Job;
  readonly fault?: Fault;
}

export interface PolicyStartParts {
  readonly jobs: Pick<Jobs, 'start'>;
  readonly vaults: Pick<RegisteredVaults, 'choose'>;
  readonly vms: (signal: AbortSignal) => Promise<SelectableVm[]>;
}

/** Starts the backups of a policy now. */
export class PolicyStart {
  constructor(private readonly parts: PolicyStartParts) {}

  /** Starts a backup of each VM, also while the policy is paused. One refusal stops no other. */
  async now({ name, revision, document }: KnownPolicy, signal: AbortSignal): Promise<StartedVm[]> {
    const vault = await this.parts.vaults.choose(document.vault);
    const started: StartedVm[] = [];
    for (const vm of selectVms(document, await this.parts.vms(signal))) {
      const parameters: BackupParameters = {
        vmId: vm.id,
        vaultId: vault.id,
        crashConsistent: document.consistency === 'crash',
        full: false,
        ...jobLimits(document),
        origin: { kind: 'policy', policy: name, revision, actor: currentActor() },
      };
      const subject = { vmId: vm.id, vmName: vm.name, vaultId: vault.id, vaultName: vault.name };
      const request = { kind: 'backup', subject, parameters } as const;
      started.push(await this.attempt(vm, { ...request, exclusiveKey: backupKey(vm.id) }));
    }
    return started;
  }

  private async attempt(
    vm: SelectableVm,
    request: Parameters<Jobs['start']>[0],
  ): Promise<StartedVm> {
    try {
      return { vm, job: await this.parts.jobs.start(request) };
    } catch (error) {
      if (isFault(error)) {
        return { vm, fault: error };
      }
      throw error;
    }
  }
}
