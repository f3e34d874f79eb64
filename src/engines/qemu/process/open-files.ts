import { join } from 'node:path';
import { systemCode } from '../../../kernel/fault.ts';
import { readdir, readFile, readlink, stat } from '../../../kernel/files/files.ts';

/** Flag of a listening socket (`__SO_ACCEPTCON`) in /proc/net/unix. */
const LISTENS = '00010000';
/** Columns before the path: Num RefCount Protocol Flags Type St Inode. */
const SOCKET_LINE = /^\S+ \S+ \S+ (?<flags>\S+) \S+ \S+ +(?<inode>\d+) (?<path>.*)$/;

/** What a process has open, according to the kernel. */
export interface OpenFiles {
  /** `device:inode` of files. */
  readonly files: ReadonlySet<string>;
  /** Inode numbers of sockets. */
  readonly sockets: ReadonlySet<string>;
}

/** Returns what process `pid` has open; undefined if it is gone or may not be inspected. */
export async function openFilesOf(pid: number): Promise<OpenFiles | undefined> {
  const folder = `/proc/${String(pid)}/fd`;
  const names = await readdir(folder).catch(absent);
  if (names === undefined) {
    return undefined;
  }
  const files = new Set<string>();
  const sockets = new Set<string>();
  for (const name of names) {
    const path = join(folder, name);
    const target = await readlink(path).catch(absent);
    const socket = /^socket:\[(\d+)\]$/.exec(target ?? '')?.[1];
    if (socket !== undefined) {
      sockets.add(socket);
    } else if (target !== undefined) {
      const key = await fileKey(path);
      files.add(key ?? '');
    }
  }
  return { files, sockets };
}

/** Returns `device:inode` of the file at `path`; undefined if there is none. */
export async function fileKey(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(absent);
  return found === undefined ? undefined : `${String(found.dev)}:${String(found.ino)}`;
}

/**
 * Returns inode numbers of all sockets that listen at `path`, even if that file was removed since.
 */
export async function listenersAt(pid: number, path: string): Promise<string[]> {
  const text = (await readFile(`/proc/${String(pid)}/net/unix`, 'utf8').catch(absent)) ?? '';
  return text
    .split('\n')
    .map((line) => SOCKET_LINE.exec(line)?.groups)
    .filter((groups) => groups?.['flags'] === LISTENS && groups['path'] === path)
    .map((groups) => groups?.['inode'] ?? '');
}

function absent(error: unknown): undefined {
  const code = systemCode(error);
  if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') {
    return undefined;
  }
  throw error;
}
