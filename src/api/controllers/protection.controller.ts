import { Controller, Get, Inject } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Care, type TaskState } from '../../care/care.service.ts';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import type { VaultRegistration } from '../../catalog/vault-registrations.ts';
import { HostIdentity } from '../../kernel/host-identity.ts';
import { RetentionStatus } from '../../policies/retention/deciding/retention-status.ts';
import { Protection } from '../../policies/status/protection.service.ts';
import { VerificationStatus } from '../../policies/verification/verification-status.ts';
import { Suspicions } from '../../policies/suspicion/suspicions.service.ts';
import { ProtectionStatus } from '../contract/policies.ts';
import { RequestSignal } from '../request-signal.ts';
import { viewOfTask } from '../views/care-view.ts';
import { viewOfSuspicion } from '../views/suspicion-view.ts';

/** Whether all is well. */
@ApiTags('policies')
@Controller()
export class ProtectionController {
  /** Set by Nest: a constructor has four parameters at most. */
  @Inject(Suspicions)
  private readonly suspicions!: Suspicions;
  @Inject(VerificationStatus)
  private readonly verifications!: VerificationStatus;

  @Inject(Care)
  private readonly care!: Care;

  constructor(
    private readonly protection: Protection,
    private readonly vaults: RegisteredVaults,
    private readonly host: HostIdentity,
    private readonly retention: RetentionStatus,
  ) {}

  /** Says of every VM by what it is protected, and whether its newest point is fresh enough. */
  @Get('protection')
  @ApiOkResponse({ standardSchema: ProtectionStatus })
  async status(@RequestSignal() signal: AbortSignal): Promise<ProtectionStatus> {
    const { atMs, vms, unreadable, unknownRuns } = await this.protection.now(signal);
    const suspicions = await this.suspicions.open();
    const { damaged, waiting } = await this.verifications.now();
    const isOk =
      vms.every(({ state }) => state === 'ok') && suspicions.length + damaged.length === 0;
    const vaults = await this.vaults.list();
    const care = await this.care.list();
    return {
      atMs,
      service: this.host.id,
      givenUpFromHere: await this.givenUpFromHere(vaults),
      ok: isOk && unreadable.length === 0 && unknownRuns === undefined && isCared(care.tasks),
      vms: vms.map((vm) => ({ ...vm, by: [...vm.by] })),
      ...(unknownRuns && { unknownRuns }),
      retention: await this.retention.list(),
      unreadable: unreadable.map(({ name, problem }) => ({ policy: name, problem })),
      suspicions: suspicions.map(viewOfSuspicion),
      verification: { damaged: [...damaged], waiting: [...waiting] },
      ...careView(care),
      troubles: await this.troubles(vaults),
    };
  }

  /** Returns the names of the vaults whose retention key this host has. */
  private async givenUpFromHere(vaults: readonly VaultRegistration[]): Promise<string[]> {
    const names: string[] = [];
    for (const { id, name, canGiveUp } of vaults) {
      if (canGiveUp === true && (await this.vaults.hasKey(id))) {
        names.push(name);
      }
    }
    return names;
  }

  private async troubles(
    vaults: readonly VaultRegistration[],
  ): Promise<ProtectionStatus['troubles']> {
    const troubles: ProtectionStatus['troubles'] = [];
    for (const vault of vaults) {
      const problem = await this.vaults.problemOf(vault);
      if (problem !== undefined) {
        troubles.push({ vault: vault.name, problem });
      }
    }
    return troubles;
  }
}

/** Damage counts also where nobody wrote down that it is to be looked for. */
function isCared(tasks: readonly TaskState[]): boolean {
  return tasks.every(
    ({ task, trouble, copy }) =>
      copy?.isLate !== true &&
      (trouble === undefined || (task.isDefault && trouble.code !== 'vault.damage-found')),
  );
}

function careView({
  atMs,
  tasks,
}: Awaited<ReturnType<Care['list']>>): Pick<ProtectionStatus, 'copies' | 'care'> {
  return {
    copies: tasks.flatMap((state) => {
      const { copy } = viewOfTask(state, atMs, new Map());
      const { vaultName: vault, copy: written } = state.task;
      return copy === undefined ? [] : [{ ...copy, vault, copy: written?.name ?? '' }];
    }),
    care: tasks.flatMap(({ task: { vaultName: vault, name: task }, trouble }) =>
      trouble === undefined ? [] : [{ vault, task, ...trouble }],
    ),
  };
}
