import { Module, type DynamicModule } from '@nestjs/common';
import { contactStore, openObjectStore } from './object-stores/location.ts';
import { placeOptions } from './object-stores/place-options.ts';
import { Clock } from '../kernel/clock.ts';
import { Log } from '../kernel/log.ts';
import type { ObjectStore } from './store/object-store.ts';
import { StoreAccess, type StoreAddress } from './store/store-access.ts';
import { StoreHealth } from './store/store-health.ts';

export interface VaultSettings {
  /** How long a store may be away before an operation gives up. */
  readonly storePatienceMs: number;
}

class StoreAccessByLocation extends StoreAccess {
  override readonly health: StoreHealth;
  private readonly settings: VaultSettings;

  constructor(settings: VaultSettings, health: StoreHealth) {
    super();
    this.settings = settings;
    this.health = health;
  }

  override async open(
    place: StoreAddress,
    signal: AbortSignal,
    meter?: (store: ObjectStore) => ObjectStore,
  ): Promise<ObjectStore> {
    const retry = {
      patienceMs: this.settings.storePatienceMs,
      watch: this.health.watch(place),
    };
    const options = { ...placeOptions(place), ...(meter === undefined ? {} : { meter }), retry };
    return openObjectStore(place.location, options, signal);
  }

  override async contact(place: StoreAddress, signal: AbortSignal): Promise<void> {
    await contactStore(place.location, placeOptions(place), signal);
  }
}

/** Binds the object stores to their drivers. */
@Module({})
export class VaultModule {
  static with(settings: VaultSettings): DynamicModule {
    return {
      module: VaultModule,
      global: true,
      providers: [
        {
          provide: StoreAccess,
          inject: [Clock, Log],
          useFactory: (clock: Clock, log: Log) =>
            new StoreAccessByLocation(settings, new StoreHealth(clock, log)),
        },
      ],
      exports: [StoreAccess],
    };
  }
}
