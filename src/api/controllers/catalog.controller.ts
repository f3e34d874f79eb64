import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { CatalogAge } from '../../catalog/catalog-age.ts';
import { currentActor } from '../../kernel/actor.ts';
import { Clock } from '../../kernel/clock.ts';
import { Log } from '../../kernel/log.ts';
import { AcceptCatalog, CatalogAccepted } from '../contract/catalog.ts';
import { RequestSignal } from '../request-signal.ts';

/** The database itself. */
@ApiTags('policies')
@Controller('catalog')
export class CatalogController {
  constructor(
    private readonly age: CatalogAge,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** Lets schedules go on, from now, with a database that is older than the vaults. */
  @Post('accept')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: CatalogAccepted })
  async accept(
    @Body({ schema: AcceptCatalog.prefault({}) }) _: object,
    @RequestSignal() signal: AbortSignal,
  ): Promise<CatalogAccepted> {
    signal.throwIfAborted();
    const accepted = await this.age.accept(this.clock.nowMs());
    this.log.info('catalog.accepted', { ...accepted, actor: currentActor() });
    return accepted;
  }
}
