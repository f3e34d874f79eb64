import { Body, Controller, Get, HttpCode, Optional, Param, Post } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { CollectorRows } from '../../catalog/collector-rows.ts';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import { currentActor } from '../../kernel/actor.ts';
import { Fault } from '../../kernel/fault.ts';
import { Log } from '../../kernel/log.ts';
import { CollectorSchedule } from '../../records/collector-schedule.ts';
import { AcceptVm, CollectorStatus, VmAccepted } from '../contract/collector.ts';
import { VaultReference } from '../contract/references.ts';

/** What a collector on a machine of its own does. */
@ApiTags('vaults')
@Controller()
export class CollectorController {
  constructor(
    private readonly vaults: RegisteredVaults,
    private readonly rows: CollectorRows,
    private readonly log: Log,
    @Optional() private readonly schedule?: CollectorSchedule,
  ) {}

  /** Returns its floors and the last look at each vault. */
  @Get('collector')
  @ApiOkResponse({ standardSchema: CollectorStatus })
  status(): CollectorStatus {
    const { floors, looks } = this.collector();
    return {
      floors,
      looks: looks.map((look) => ({
        ...look,
        givenUp: look.givenUp.map(({ vmId, id, service }) => ({ vmId, pointId: id, service })),
        refused: { ...look.refused },
        vmsInDoubt: [...look.vmsInDoubt],
        wentBack: [...look.wentBack],
      })),
    };
  }

  /** Takes the points of a VM as they are now, although they were changed or are gone. */
  @Post('vaults/:vault/collector-accept')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: VmAccepted })
  async accept(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: AcceptVm }) { vm }: AcceptVm,
  ): Promise<VmAccepted> {
    this.collector();
    const { id } = await this.vaults.choose(vault);
    const points = await this.rows.accept(id, vm);
    this.log.info('collector.accepted', { vaultId: id, vmId: vm, points, actor: currentActor() });
    return { points };
  }

  private collector(): CollectorSchedule {
    if (this.schedule === undefined) {
      throw new Fault(
        'request.invalid',
        'This service is no collector. Ask the one that was started with "hyperkeep serve --role collector".',
      );
    }
    return this.schedule;
  }
}
