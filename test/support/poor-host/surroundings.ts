/** What a host lacks, as a shell script that runs before the command, in mounts of its own. */
export interface Surrounding {
  readonly name: string;
  /** `$LAB` has `out`, `cache`, `tmp` and what the commands read. Empty: nothing is lacking. */
  readonly script: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Words before the command. */
  readonly before?: readonly string[];
  /** What is lacking is needed by nothing: each command works. */
  readonly isHarmless?: boolean;
  /** Where the vault is: a folder, or an S3 server that does this. */
  readonly store?: 'closed' | 'silent' | 'slow' | 'wrong-time';
}

const READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"';
const FULL_SIZE = '65536';

const readOnly = (path: string): string => `set -- "${path}"; ${READ_ONLY}`;
const full = (path: string): string =>
  `mount -t tmpfs -o size=${FULL_SIZE} none "${path}"; head -c ${FULL_SIZE} /dev/zero > "${path}/all"`;
const withoutInodes = (path: string): string => `mount -t tmpfs -o nr_inodes=1 none "${path}"`;

/** The clock of the process and of its threads is off by this. */
const shifted = (hours: number): Readonly<Record<string, string>> => {
  const ms = hours * 60 * 60 * 1000;
  const code = `const D = Date; globalThis.Date = class extends D { constructor(...a) { super(...(a.length ? a : [D.now() + ${String(ms)}])); } static now() { return D.now() + ${String(ms)}; } };`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
};

export const SURROUNDINGS: readonly Surrounding[] = [
  { name: 'nothing lacks', script: '', isHarmless: true },
  {
    name: 'home read-only',
    script: readOnly('$USER_HOME'),
    environment: { XDG_CACHE_HOME: '' },
    isHarmless: true,
  },
  { name: 'cache read-only', script: readOnly('$LAB/cache'), isHarmless: true },
  { name: 'cache full', script: full('$LAB/cache'), isHarmless: true },
  { name: 'cache without inodes', script: withoutInodes('$LAB/cache'), isHarmless: true },
  {
    name: 'cache is a file',
    script: 'rmdir "$LAB/cache"; : > "$LAB/cache"',
    isHarmless: true,
  },
  {
    name: 'no TMPDIR',
    script: '',
    environment: { TMPDIR: '/nonexistent' },
    isHarmless: true,
  },
  { name: 'target read-only', script: readOnly('$LAB/out') },
  { name: 'target full', script: full('$LAB/out') },
  { name: 'target without inodes', script: withoutInodes('$LAB/out') },
  { name: 'target is a file', script: 'rmdir "$LAB/out"; : > "$LAB/out"' },
  { name: 'vault read-only', script: readOnly('$LAB/vault') },
  {
    name: 'files of another user',
    script: 'chmod 755 "$LAB"; chmod -R go= "$LAB/vault" "$LAB/out" "$LAB/cache" "$LAB/disk.raw"',
    before: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
  },
  { name: 'clock a day ahead', script: '', environment: shifted(24), isHarmless: true },
  { name: 'clock a day behind', script: '', environment: shifted(-24) },
  { name: '64 open files', script: '', before: ['prlimit', '--nofile=64:64'], isHarmless: true },
  { name: '24 open files', script: '', before: ['prlimit', '--nofile=24:24'] },
  { name: 'store refuses', script: '', store: 'closed' },
  { name: 'store hangs', script: '', store: 'silent' },
  { name: 'store is slow', script: '', store: 'slow' },
  { name: 'clock of the store a day off', script: '', store: 'wrong-time' },
];

export const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  create: ['create', '--vault', '@new', '--recovery-file', '$LAB/out/recovery.txt'],
  import: ['import', '$LAB/disk.raw', '--vm', 'shop', '--vault', '@vault'],
  points: ['points', '--vault', '@vault'],
  'restore raw': ['restore', 'latest', '--format', 'raw', '--to', '$LAB/out', '--vault', '@vault'],
  'restore qcow2': ['restore', 'latest', '--to', '$LAB/out', '--vault', '@vault'],
  verify: ['verify', '--vault', '@vault'],
  scrub: ['scrub', '--all', '--vault', '@vault'],
  'scrub without key': ['scrub', '--all', '--without-key', '--vault', '@vault'],
  prune: ['prune', '--yes', '--vault', '@vault'],
  usage: ['usage', '--vault', '@vault'],
  repair: ['repair', '--yes', '--vault', '@vault'],
  copy: ['copy', '--from', '@vault', '--to', '$LAB/out/copy'],
  'keys list': ['keys', 'list', '--vault', '@vault'],
  'keys recovery-file': [
    ...['keys', 'recovery-file', '--new-recovery-file', '$LAB/out/new.txt'],
    ...['--vault', '@vault'],
  ],
  probe: ['probe', '--vault', '@vault'],
};
