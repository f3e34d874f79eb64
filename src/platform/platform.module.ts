import { Module, type DynamicModule } from '@nestjs/common';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { Clock, SystemClock } from '../kernel/clock.ts';
import { HostIdentity } from '../kernel/host-identity.ts';
import { IdleMemory } from '../kernel/memory/idle-memory.ts';
import { Log } from '../kernel/log.ts';
import { SecretStore } from '../kernel/secret-store.ts';
import { readOrMakeHostId } from './host-id.ts';
import { SecretFiles } from './secrets/secret-files.ts';

export interface PlatformSettings {
  readonly home: string;
  readonly log: Log;
  readonly version: string;
}

/** Binds the kernel's ports: time, log, secrets, idle memory and which host this is. */
@Module({})
export class PlatformModule {
  static with({ home, log, version }: PlatformSettings): DynamicModule {
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
          useFactory: async () =>
            new HostIdentity({
              id: await readOrMakeHostId(home),
              name: hostname(),
              address: ownAddress(),
              version,
            }),
        },
      ],
      exports: [Clock, HostIdentity, IdleMemory, Log, SecretStore],
    };
  }
}

function ownAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ internal, scopeid }) => !internal && !scopeid)?.address;
}
