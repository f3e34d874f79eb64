import type { StoreAddress, StoreCredentials } from '../store/store-access.ts';
import type { OpenOptions } from './location.ts';

/** Returns the options with which the store at a place is opened. */
export function placeOptions(place: StoreAddress): OpenOptions {
  const { endpoint, region, profile, credentials, singleWriter } = place;
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    ...optionsFrom(credentials),
    allowNetworkFileSystem: singleWriter,
  };
}

function optionsFrom(credentials: StoreCredentials | undefined): OpenOptions {
  if (credentials === undefined || 'profile' in credentials) {
    return { ...credentials };
  }
  // The SDK writes into the object that it gets.
  return { credentials: { ...credentials } };
}
