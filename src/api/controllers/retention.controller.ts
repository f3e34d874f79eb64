import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import { PointRetention } from '../../upkeep/point-retention.ts';
import { VaultReference } from '../contract/references.ts';
import {
  HoldList,
  HoldPoint,
  ReadingList,
  ReleasePoint,
  RetiredList,
  RetirePoints,
  type PointHold,
} from '../contract/upkeep.ts';
import { RequestSignal } from '../request-signal.ts';

/** How long recovery points are kept. */
@ApiTags('vaults')
@Controller('vaults/:vault')
export class RetentionController {
  constructor(
    private readonly vaults: RegisteredVaults,
    private readonly retention: PointRetention,
  ) {}

  /** Gives points up for good. If one is held, gives up none. */
  @Post('retire')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: RetiredList })
  async retire(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: RetirePoints }) { points, retentionPassphrase }: RetirePoints,
    @RequestSignal() signal: AbortSignal,
  ): Promise<RetiredList> {
    const { id } = await this.vaults.choose(vault);
    return listOf(await this.retention.retire(id, points, retentionPassphrase, signal));
  }

  /** Lists points that were given up and that no prune has removed yet. */
  @Get('retired')
  @ApiOkResponse({ standardSchema: RetiredList })
  async retired(
    @Param('vault', { schema: VaultReference }) vault: string,
    @RequestSignal() signal: AbortSignal,
  ): Promise<RetiredList> {
    const { id } = await this.vaults.choose(vault);
    return listOf(await this.retention.retired(id, signal));
  }

  /** Lists the points that somebody reads now, here or on another machine. */
  @Get('reading')
  @ApiOkResponse({ standardSchema: ReadingList })
  async reading(
    @Param('vault', { schema: VaultReference }) vault: string,
    @RequestSignal() signal: AbortSignal,
  ): Promise<ReadingList> {
    const { id } = await this.vaults.choose(vault);
    const leases = await this.retention.beingRead(id, signal);
    return {
      reading: leases.map((lease) => ({
        ...{ pointId: lease.id, vmId: lease.vmId },
        ...{ reader: lease.reader, untilMs: lease.untilMs },
      })),
    };
  }

  /** Lists all holds in force. */
  @Get('holds')
  @ApiOkResponse({ standardSchema: HoldList })
  async holds(
    @Param('vault', { schema: VaultReference }) vault: string,
    @RequestSignal() signal: AbortSignal,
  ): Promise<HoldList> {
    const { id } = await this.vaults.choose(vault);
    return { holds: (await this.retention.holds(id, signal)).map(viewOfHold) };
  }

  /** Prevents everybody from giving a point up until it is released. */
  @Post('hold')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: HoldList })
  async hold(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: HoldPoint }) { point, reason }: HoldPoint,
    @RequestSignal() signal: AbortSignal,
  ): Promise<HoldList> {
    const { id } = await this.vaults.choose(vault);
    return { holds: [viewOfHold(await this.retention.hold(id, point, reason, signal))] };
  }

  /** Ends all holds on a point. */
  @Post('release')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: HoldList })
  async release(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: ReleasePoint }) { point, retentionPassphrase }: ReleasePoint,
    @RequestSignal() signal: AbortSignal,
  ): Promise<HoldList> {
    const { id } = await this.vaults.choose(vault);
    const ended = await this.retention.release(id, point, retentionPassphrase, signal);
    return { holds: ended.map(viewOfHold) };
  }
}

function listOf(points: readonly { readonly vmId: string; readonly id: string }[]): RetiredList {
  return { points: points.map(({ vmId, id }) => ({ pointId: id, vmId })) };
}

function viewOfHold(hold: {
  readonly vmId: string;
  readonly id: string;
  readonly atMs: number;
  readonly reason: string;
}): PointHold {
  const { vmId, id, atMs, reason } = hold;
  return { pointId: id, vmId, atMs, reason };
}
