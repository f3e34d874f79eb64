/** In HYPERKEEP_HOME, mode 0600: the secret that every request carries as `Authorization: Bearer`. */
export const TOKEN_FILE = 'api-token';

/** In HYPERKEEP_HOME, while the service runs: where it listens, `http://127.0.0.1:8480`. */
export const ADDRESS_FILE = 'api-address';
