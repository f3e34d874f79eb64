import { Module } from '@nestjs/common';
import { ApiTokenRows } from '../catalog/api-token-rows.ts';
import { Clock } from '../kernel/clock.ts';
import { Log } from '../kernel/log.ts';
import { ApiTokens } from './api-tokens.ts';

/** Who may ask what of the service. */
@Module({
  providers: [
    {
      provide: ApiTokens,
      inject: [ApiTokenRows, Clock, Log],
      useFactory: (rows: ApiTokenRows, clock: Clock, log: Log) => new ApiTokens(rows, clock, log),
    },
  ],
  exports: [ApiTokens],
})
export class AccessModule {}
