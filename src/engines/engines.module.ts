import { Module, type BeforeApplicationShutdown, type DynamicModule } from '@nestjs/common';
import { Engine } from './engine.ts';

export interface EngineSettings {
  /** Folder of what the engine keeps about its VMs. */
  readonly stateFolder: string;
  /** Folder of its sockets. */
  readonly runFolder: string;
}

/** Binds the engine to the driver for this host's hypervisor. */
@Module({})
export class EnginesModule implements BeforeApplicationShutdown {
  private readonly engine: Engine;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  static with(settings: EngineSettings): DynamicModule {
    return {
      module: EnginesModule,
      global: true,
      providers: [{ provide: Engine, useFactory: async () => openEngine(settings) }],
      exports: [Engine],
    };
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.engine.close();
  }
}

async function openEngine(settings: EngineSettings): Promise<Engine> {
  throw new Error(`no engine yet for ${settings.stateFolder}`);
}
