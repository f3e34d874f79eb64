import { Module, type DynamicModule } from '@nestjs/common';
import { openObjectStore } from './object-stores/location.ts';
import type { ObjectStore } from './object-store.ts';
import { ObjectStores, type StorePlace } from './object-stores.ts';

export interface VaultSettings {
  /** How long a store may be away before an operation gives up. */
  readonly storePatienceMs: number;
}

class ObjectStoresByLocation extends ObjectStores {
  private readonly settings: VaultSettings;

  constructor(settings: VaultSettings) {
    super();
    this.settings = settings;
  }

  override async open(
    place: StorePlace,
    signal: AbortSignal,
    meter?: (store: ObjectStore) => ObjectStore,
  ): Promise<ObjectStore> {
    const { location, endpoint, region, profile, singleWriter } = place;
    return openObjectStore(
      location,
      {
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(region === undefined ? {} : { region }),
        ...(profile === undefined ? {} : { profile }),
        ...(meter === undefined ? {} : { meter }),
        allowNetworkFileSystem: singleWriter,
        retry: { patienceMs: this.settings.storePatienceMs },
      },
      signal,
    );
  }
}

/** Binds the object stores to their drivers. */
@Module({})
export class VaultModule {
  static with(settings: VaultSettings): DynamicModule {
    return {
      module: VaultModule,
      global: true,
      providers: [{ provide: ObjectStores, useValue: new ObjectStoresByLocation(settings) }],
      exports: [ObjectStores],
    };
  }
}
