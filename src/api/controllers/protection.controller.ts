import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import { HostIdentity } from '../../kernel/host-identity.ts';
import { RetentionStatus } from '../../policies/retention/deciding/retention-status.ts';
import { Protection } from '../../policies/status/protection.service.ts';
import { ProtectionStatus } from '../contract/policies.ts';
import { RequestSignal } from '../request-signal.ts';

/** Whether all is well. */
@ApiTags('policies')
@Controller()
export class ProtectionController {
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
    const isOk = vms.every(({ state }) => state === 'ok');
    const vaults = await this.vaults.list();
    return {
      atMs,
      service: this.host.id,
      givenUpFromHere: vaults.filter(({ canGiveUp }) => canGiveUp).map(({ name }) => name),
      ok: isOk && unreadable.length === 0 && unknownRuns === undefined,
      vms: vms.map((vm) => ({ ...vm, by: [...vm.by] })),
      ...(unknownRuns && { unknownRuns }),
      retention: await this.retention.list(),
      unreadable: unreadable.map(({ name, problem }) => ({ policy: name, problem })),
      troubles: await this.troubles(vaults),
    };
  }

  private async troubles(
    vaults: Awaited<ReturnType<RegisteredVaults['list']>>,
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
