import { readFile, readFileSync } from '../kernel/files/files.ts';

/** Owns no file on a Debian system: above the users, outside the ranges of packages and systemd. */
export const TOOL_UID = 65533;
/** Tables of the largest images need less than 1 GiB; a crafted image must not take the host. */
const ADDRESS_SPACE_BYTES_MAX = 8 * 1024 ** 3;
const OPEN_FILES_MAX = 1024;

/** Bits of capabilities(7). */
const CAP_DAC_READ_SEARCH = 2n;
const CAP_SETGID = 6n;
const CAP_SETUID = 7n;
const CAP_SETPCAP = 8n;
const CAP_CHOWN = 0n;

/** A program to run in place of a tool: the same tool with fewer rights. */
export interface ConfinedTool {
  readonly file: string;
  readonly parameters: readonly string[];
  /** User that it runs as, if not ours: give it the folders that it writes to. */
  readonly uid?: number;
}

/**
 * Wraps a tool that reads untrusted images: bounded memory and files, no new rights, and it dies
 * with us. If we are root, it runs as a separate user that may read every file (images are 0600 of
 * root) and write none.
 */
export async function confineReadingTool(
  file: string,
  parameters: readonly string[],
): Promise<ConfinedTool> {
  if (!(await canChangeUser())) {
    return confineTool(file, parameters);
  }
  const id = String(TOOL_UID);
  const only = '-all,+dac_read_search';
  const confined = confineTool(file, parameters, [
    ...['--reuid', id, '--regid', id, '--clear-groups'],
    ...[`--inh-caps=${only}`, `--ambient-caps=${only}`, `--bounding-set=${only}`],
  ]);
  return { ...confined, uid: TOOL_UID };
}

/** Wraps a tool that writes images of ours: the same limits, as our user. */
export function confineTool(
  file: string,
  parameters: readonly string[],
  rights: readonly string[] = [],
): ConfinedTool {
  const ours = readFileSync('/proc/self/limits', 'utf8');
  const limits = [
    '--core=0',
    `--as=${String(atMost(ADDRESS_SPACE_BYTES_MAX, ours, 'Max address space'))}`,
    `--nofile=${String(atMost(OPEN_FILES_MAX, ours, 'Max open files'))}`,
  ];
  // Both programs replace themselves, so the child's pid is the tool's.
  return {
    file: 'prlimit',
    parameters: [
      ...limits,
      ...['--', 'setpriv', '--pdeathsig', 'KILL', '--no-new-privs'],
      ...rights,
      ...['--', file, ...parameters],
    ],
  };
}

/** Returns at most our own limit: not even every root can raise it. proc(5): soft, then hard. */
function atMost(wanted: number, limits: string, name: string): number {
  const line = limits.split('\n').find((one) => one.startsWith(name)) ?? '';
  const hard = Number(line.slice(name.length).trim().split(/\s+/)[1]);
  return hard < wanted ? hard : wanted;
}

/** Whether we may change the user: containers often lack some of root's rights. */
async function canChangeUser(): Promise<boolean> {
  const status = await readFile('/proc/self/status', 'utf8');
  const held = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  const rights = BigInt(`0x${held ?? '0'}`);
  return [CAP_CHOWN, CAP_DAC_READ_SEARCH, CAP_SETGID, CAP_SETUID, CAP_SETPCAP].every(
    (bit) => ((rights >> bit) & 1n) === 1n,
  );
}
