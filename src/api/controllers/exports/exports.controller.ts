import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { currentActor } from '../../../kernel/actor.ts';
import { Log } from '../../../kernel/log.ts';
import { Exports, type Export as OpenedExport } from '../../../restore/exports/exports.ts';
import { Export, ExportList, ExportReference, OpenExport } from '../../contract/exports/exports.ts';
import { PointSearch } from '../../point-search.ts';
import { RequestSignal } from '../../request-signal.ts';

/** Disks of recovery points, served to NBD clients on this host. */
@ApiTags('exports')
@Controller('exports')
export class ExportsController {
  constructor(
    private readonly exports: Exports,
    private readonly points: PointSearch,
    private readonly log: Log,
  ) {}

  @Get()
  @ApiOkResponse({ standardSchema: ExportList })
  async list(): Promise<ExportList> {
    return { exports: (await this.exports.list()).map(viewOfExport) };
  }

  /**
   * Serves a point, read-only, until the export is closed. The point is not given up meanwhile, and
   * a restart of the service is not noticed.
   */
  @Post()
  @HttpCode(201)
  @ApiCreatedResponse({ standardSchema: Export })
  async open(
    @Body({ schema: OpenExport }) body: OpenExport,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Export> {
    const { vault, point } = await this.points.find(body, signal);
    const { disk, blockStatus } = body;
    const request = { vaultId: vault.id, pointId: point.id, disk, blockStatus };
    const opened = await this.exports.open(request, signal);
    const { id, pointId } = opened;
    this.log.info('export.opened', { id, vaultId: vault.id, pointId, actor: currentActor() });
    return viewOfExport(opened);
  }

  /** Ends an export: its clients get what they asked for, and no more. */
  @Delete(':export')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: Export })
  async close(
    @Param('export', { schema: ExportReference }) prefix: string,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Export> {
    const closed = await this.exports.close(prefix, signal);
    this.log.info('export.closed', { id: closed.id, actor: currentActor() });
    return viewOfExport(closed);
  }
}

function viewOfExport({ disks, ...facts }: OpenedExport): Export {
  return {
    ...facts,
    disks: disks.map((disk) => ({
      ...disk,
      uri: `nbd+unix:///${encodeURIComponent(disk.name)}?socket=${facts.socketPath}`,
    })),
  };
}
