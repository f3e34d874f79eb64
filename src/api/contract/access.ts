/**
 * Folder in HYPERKEEP_HOME, mode 0700, where the service listens for the command line of this host.
 */
export const SOCKET_FOLDER = 'api';

/** Socket in that folder, mode 0600. Only the user of the service and root can connect to it. */
export const SOCKET_FILE = 'service.sock';

/**
 * File in HYPERKEEP_HOME, mode 0600: the token that requests over TCP carry as `Authorization:
 * Bearer`.
 */
export const TOKEN_FILE = 'api-token';
