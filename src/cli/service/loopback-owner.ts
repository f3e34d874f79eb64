import { Fault, systemCode } from '../../kernel/fault.ts';
import { readFile } from '../../kernel/files/files.ts';
import { ownUserId } from '../../kernel/files/held-folder.ts';

/** The kernel's lists of TCP sockets, with the user of each. */
const LISTS = ['/proc/net/tcp', '/proc/net/tcp6'];
const LISTENS = '0A';
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * Requires that only we and root listen at a port of this host: any user can take a port that a
 * service has left, and would receive the token and passphrases.
 *
 * @throws Fault `request.denied` if somebody else listens there, `service.unreachable` if nobody
 *   does, `request.invalid` if the address is not of this host
 */
export async function requireOwnListener(url: URL, port: number): Promise<void> {
  if (!LOOPBACK.test(url.hostname)) {
    throw new Fault(
      'request.invalid',
      `${url.origin} is on another machine and nothing proves whose it is. Set HYPERKEEP_URL to an https:// address, or go through a tunnel to this machine.`,
      { url: url.origin },
    );
  }
  const lists = await Promise.all(LISTS.map(readList));
  const users = new Set(lists.flatMap((text) => listeners(text, port)));
  if (users.size === 0) {
    throw new Fault('service.unreachable', `Nobody listens at ${url.origin}.`, { url: url.origin });
  }
  const stranger = [...users].find((uid) => uid !== 0 && uid !== ownUserId());
  if (stranger !== undefined) {
    throw new Fault(
      'request.denied',
      `At ${url.origin} the user ${String(stranger)} of this machine listens, not your service. Nothing was sent.`,
      { url: url.origin, userId: stranger },
    );
  }
}

/** Returns the users that listen at a port, on any address. */
export function listeners(list: string, port: number): number[] {
  return list.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , uid = ''] = line.trim().split(/\s+/);
    const [, hex = ''] = local.split(':');
    return state === LISTENS && Number.parseInt(hex, 16) === port ? [Number(uid)] : [];
  });
}

/** A kernel without IPv6 has only one list. */
async function readList(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      return '';
    }
    throw error;
  }
}
