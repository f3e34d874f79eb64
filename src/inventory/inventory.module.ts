import { Module } from '@nestjs/common';
import { Engine } from '../engines/engine.ts';
import { imageFacts } from '../formats/qemu-img.ts';
import { InventoryService } from './inventory.service.ts';

@Module({
  providers: [
    {
      provide: InventoryService,
      inject: [Engine],
      useFactory: (engine: Engine) =>
        new InventoryService(
          engine,
          async (image, signal) => (await imageFacts(image, signal)).virtualSize,
        ),
    },
  ],
  exports: [InventoryService],
})
export class InventoryModule {}
