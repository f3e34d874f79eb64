import { dirname } from 'node:path';
import { Fault, systemCode } from '../../kernel/fault.ts';
import { chmod, chown, readFile, stat } from '../../kernel/files/files.ts';

/** The user that PostgreSQL runs as. Undefined ids: our own user. */
export interface PostgresOwner {
  readonly name: string;
  readonly ids?: { readonly uid: number; readonly gid: number };
}

/** `postgres` exists where Debian's packages are installed, `nobody` everywhere. */
const NAMES = ['postgres', 'nobody'];
const TRAVERSABLE = 0o001;
/** Others may pass through the home folder but not list it; its content stays 0600 and 0700. */
const HOME_MODE = 0o711;

/**
 * Returns the user to run PostgreSQL as. It refuses to run as root, so root's cluster belongs to
 * another user: its present owner, or `postgres`, or `nobody`.
 */
export async function choosePostgresOwner(cluster: string): Promise<PostgresOwner> {
  if (process.getuid?.() !== 0) {
    return { name: 'we' };
  }
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => {
    const [name = '', , uid, gid] = line.split(':');
    return { name, ids: { uid: Number(uid), gid: Number(gid) } };
  });
  const present = await stat(cluster).catch(nothingIfMissing);
  const owner =
    present !== undefined && present.uid !== 0
      ? users.find(({ ids }) => ids.uid === present.uid)
      : NAMES.map((wanted) => users.find(({ name }) => name === wanted)).find(Boolean);
  if (owner === undefined) {
    throw new Fault(
      'database.start-failed',
      'PostgreSQL does not run as root and there is no user postgres or nobody. ' +
        'Run the service as another user, or set DATABASE_URL.',
    );
  }
  return owner;
}

/**
 * Lets `owner` reach the cluster in `home`: makes our home folder passable (0711), but changes no
 * folder above it.
 * @throws Fault `database.folder-closed`
 */
export async function openWayTo(home: string, owner: PostgresOwner): Promise<void> {
  if (owner.ids === undefined) {
    return;
  }
  const own = await stat(home);
  if ((own.mode & TRAVERSABLE) === 0) {
    await chmod(home, HOME_MODE);
  }
  for (let folder = dirname(home); folder !== dirname(folder); folder = dirname(folder)) {
    const { mode, uid } = await stat(folder);
    if ((mode & TRAVERSABLE) === 0 && uid !== owner.ids.uid) {
      throw new Fault(
        'database.folder-closed',
        `PostgreSQL runs as ${owner.name}, who cannot enter ${folder}. Set HYPERKEEP_HOME to a ` +
          'folder outside of it (such as /var/lib/hyperkeep), or set DATABASE_URL.',
        { folder },
      );
    }
  }
}

export async function giveTo(path: string, { ids }: PostgresOwner): Promise<void> {
  if (ids !== undefined) {
    await chown(path, ids.uid, ids.gid);
  }
}

/**
 * For `stat(...).catch`: returns undefined if there is no such file, and throws any other error.
 */
export function nothingIfMissing(error: unknown): undefined {
  if (systemCode(error) !== 'ENOENT') {
    throw error;
  }
}
