import { Module, type DynamicModule } from '@nestjs/common';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Clock, SystemClock } from '../kernel/clock.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { IdleMemory } from '../kernel/memory/idle-memory.ts';
import { Log } from '../kernel/log.ts';
import { SecretStore } from '../kernel/secret-store.ts';
import { readOrMakeHostId } from './host-id.ts';
import { SecretFiles } from './secrets/secret-files.ts';

/** Binds the kernel's ports: time, log, secrets, idle memory and which host this is. */
@Module({})
export class PlatformModule {
  static with({ home, log }: { readonly home: string; readonly log: Log }): DynamicModule {
    return {
      module: PlatformModule,
      global: true,
      providers: [
        { provide: Clock, useClass: SystemClock },
        { provide: Log, useValue: log },
        { provide: IdleMemory, useValue: new IdleMemory(log) },
        { provide: SecretStore, useValue: new SecretFiles(join(home, 'keys')) },
        {
          provide: HostIdentity,
          useFactory: async () => new HostIdentity(await readOrMakeHostId(home), hostname()),
        },
      ],
      exports: [Clock, HostIdentity, IdleMemory, Log, SecretStore],
    };
  }
}
