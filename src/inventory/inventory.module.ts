import { Module } from '@nestjs/common';
import { Engine } from '../engines/engine.ts';
import { inspectImage } from '../formats/image-inspection.ts';
import { InventoryService } from './inventory.service.ts';

@Module({
  providers: [
    {
      provide: InventoryService,
      inject: [Engine],
      useFactory: (engine: Engine) =>
        new InventoryService(
          engine,
          async ({ path, format }, signal) =>
            (await inspectImage(path, format, signal)).virtualSize,
        ),
    },
  ],
  exports: [InventoryService],
})
export class InventoryModule {}
