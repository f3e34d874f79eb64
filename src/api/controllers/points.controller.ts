import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { PointCatalog } from '../../catalog/point-catalog.ts';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import { OnePointQuery, Point, PointList, PointQuery } from '../contract/points.ts';
import { PointReference } from '../contract/references.ts';
import { PointFacts } from '../point-facts.ts';
import { PointSearch } from '../point-search.ts';
import { setsOfPoints, viewOfPoint } from '../point-view.ts';
import { RequestSignal } from '../request-signal.ts';

@ApiTags('points')
@Controller('points')
export class PointsController {
  constructor(
    private readonly search: PointSearch,
    private readonly points: PointCatalog,
    private readonly vaults: RegisteredVaults,
    private readonly facts: PointFacts,
  ) {}

  /** Lists the catalog's points, oldest first; `refresh=true` asks the vaults before. */
  @Get()
  @ApiOkResponse({ standardSchema: PointList })
  async list(
    @Query({ schema: PointQuery }) { vm, vmId, vault, refresh }: PointQuery,
    @RequestSignal() signal: AbortSignal,
  ): Promise<PointList> {
    if (refresh === 'true') {
      await this.search.refresh(vault, signal);
    }
    const vaultNames = new Map((await this.vaults.list()).map(({ id, name }) => [id, name]));
    const vaultId = vault === undefined ? undefined : (await this.vaults.choose(vault)).id;
    const inVault = await this.points.list(vaultId === undefined ? {} : { vaultId });
    const vmIds = await this.search.vmIds({ vm, vmId });
    const known = await this.facts.read(vaultId);
    const sets = setsOfPoints(inVault);
    return {
      points: inVault
        .filter(({ point }) => vmIds?.includes(point.vmId) ?? true)
        .map((listed) => {
          const { vaultId: inId, point } = listed;
          return viewOfPoint(listed, {
            ...{ vaultNames, sets },
            known: known({ vaultId: inId, pointId: point.id }),
          });
        }),
    };
  }

  /** Returns one point by its id or the beginning of it. */
  @Get(':point')
  @ApiOkResponse({ standardSchema: Point })
  async get(
    @Param('point', { schema: PointReference }) asked: string,
    @Query({ schema: OnePointQuery }) { vault }: OnePointQuery,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Point> {
    const found = await this.search.find({ point: asked, vault }, signal);
    const { id: vaultId, name } = found.vault;
    const listed = await this.points.list({ vaultId });
    const { holds = [] } = listed.find(({ point }) => point.id === found.point.id) ?? {};
    const known = await this.facts.read(vaultId);
    const point = { vaultId, point: found.point, holds };
    return viewOfPoint(point, {
      vaultNames: new Map([[vaultId, name]]),
      known: known({ vaultId, pointId: point.point.id }),
      sets: setsOfPoints(listed),
    });
  }
}
