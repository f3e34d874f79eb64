import { Module, type BeforeApplicationShutdown, type DynamicModule } from '@nestjs/common';
import { Clock } from '../kernel/clock.ts';
import { Log } from '../kernel/log.ts';
import { Engine } from './engine.ts';
import { QemuEngine } from './qemu/qemu-engine.ts';

export interface EngineSettings {
  /** Folder for what the engine keeps about its VMs. */
  readonly stateFolder: string;
  /** Folder for its sockets. */
  readonly runFolder: string;
}

/** Binds the engine to the driver for this host's hypervisor. */
@Module({})
export class EnginesModule implements BeforeApplicationShutdown {
  private readonly engine: Engine;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  /** @param own instead of the driver for this host's hypervisor */
  static with(settings: EngineSettings, own?: Engine): DynamicModule {
    return {
      module: EnginesModule,
      global: true,
      providers: [
        {
          provide: Engine,
          inject: [Clock, Log],
          useFactory: (clock: Clock, log: Log) =>
            own ?? new QemuEngine({ ...settings, clock, log }),
        },
      ],
      exports: [Engine],
    };
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.engine.close();
  }
}
