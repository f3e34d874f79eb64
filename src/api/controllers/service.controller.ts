import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Engine } from '../../engines/engine.ts';
import { ServiceStatus } from '../contract/service.ts';
import { ServiceStart } from '../service-start.ts';

@ApiTags('service')
@Controller('service')
export class ServiceController {
  constructor(
    private readonly engine: Engine,
    private readonly start: ServiceStart,
  ) {}

  /** Returns what runs here, and what was repaired when it started. */
  @Get()
  @ApiOkResponse({ standardSchema: ServiceStatus })
  status(): ServiceStatus {
    const { version, repaired } = this.start;
    return { version, engine: this.engine.kind, repaired: [...repaired] };
  }
}
