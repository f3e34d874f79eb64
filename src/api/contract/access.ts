/** In HYPERKEEP_HOME, mode 0700: where the service listens for the command line of this host. */
export const SOCKET_FOLDER = 'api';

/** In that folder, mode 0600. Who can connect to it is the user of the service, or root. */
export const SOCKET_FILE = 'service.sock';

/** In HYPERKEEP_HOME, mode 0600: what requests over TCP carry as `Authorization: Bearer`. */
export const TOKEN_FILE = 'api-token';
