import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { EXIT_NEEDS_PERSON, SetupError, mustRun, run, seconds } from './run.mjs';

/** Programs (or files) by the Debian package that brings them. */
const PACKAGES = {
  'qemu-system-x86': ['qemu-system-x86_64'],
  'qemu-utils': ['qemu-img', 'qemu-nbd'],
  ovmf: ['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd'],
  e2fsprogs: ['mkfs.ext4', 'e2fsck', 'debugfs'],
  nbdkit: ['nbdkit'],
  'libnbd-bin': ['nbdinfo', 'nbdcopy'],
  restic: ['restic'],
  borgbackup: ['borg'],
  time: ['/usr/bin/time'],
};
const GUEST = ['qemu-system-x86', 'qemu-utils', 'e2fsprogs'];

/** What each command of bootstrap.mjs needs beyond npm packages. */
const NEEDS = {
  check: [],
  torture: [],
  demo: GUEST,
  test: [...GUEST, 'ovmf', 'nbdkit', 'libnbd-bin'],
  bench: [...GUEST, 'restic', 'borgbackup', 'time'],
  soak: [...GUEST, 'nbdkit', 'libnbd-bin'],
};

/** What bootstrap.mjs can be told to do. */
export const COMMANDS = Object.keys(NEEDS);

/** PATH with the folders of system programs, which people who are not root often lack. */
export function systemPath(path = process.env.PATH ?? '') {
  const folders = path.split(delimiter).filter(Boolean);
  for (const folder of ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']) {
    if (!folders.includes(folder)) {
      folders.push(folder);
    }
  }
  return folders.join(delimiter);
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    // Whatever the reason, it cannot be run.
    return false;
  }
}

/** Path of a program on PATH or in the system folders; undefined when there is none. */
export function findProgram(name) {
  if (name.startsWith('/')) {
    return isProgram(name) ? name : undefined;
  }
  return systemPath()
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isProgram);
}

/** Programs by name; files, which are not all programs, by path. */
function isPresent(wanted) {
  return wanted.startsWith('/') ? existsSync(wanted) : findProgram(wanted) !== undefined;
}

function missing(command) {
  return NEEDS[command].filter((name) => PACKAGES[name].some((wanted) => !isPresent(wanted)));
}

async function rootPrefix() {
  if (process.getuid() === 0) {
    return [];
  }
  if (findProgram('sudo') === undefined) {
    return undefined;
  }
  const { exitCode } = await run('sudo', ['-n', 'true'], { output: 'keep' });
  return exitCode === 0 ? ['sudo', '-n'] : undefined;
}

/**
 * Installs the Debian packages that `command` needs and that are missing. @returns true if it did
 */
export async function ensureDebianPackages(command) {
  const wanted = missing(command);
  if (wanted.length === 0) {
    return false;
  }
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...wanted];
  const line = `apt-get update && ${install.join(' ')}`;
  if (!existsSync('/etc/debian_version') || findProgram('apt-get') === undefined) {
    throw new SetupError(
      `These programs are missing: ${wanted.flatMap((name) => PACKAGES[name]).join(', ')}\n` +
        `On Debian 12 they come with: ${line}`,
      EXIT_NEEDS_PERSON,
    );
  }
  const prefix = await rootPrefix();
  if (prefix === undefined) {
    throw new SetupError(
      `Debian packages are missing and this is neither root nor sudo without a password. Type:\n\n` +
        `  sudo sh -c '${line}'\n\nand run the same command again.`,
      EXIT_NEEDS_PERSON,
    );
  }
  console.log(`Installing Debian packages: ${wanted.join(' ')}\n  ${prefix.join(' ')} ${line}`);
  const started = performance.now();
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LANG: 'C' };
  const apt = async (parameters) => {
    const [file, ...rest] = [...prefix, ...parameters];
    await mustRun(file, rest, { output: 'keep', env });
  };
  await apt(['apt-get', 'update', '-q']);
  await apt(install);
  const still = missing(command);
  if (still.length > 0) {
    throw new SetupError(`Installed, but still without programs of: ${still.join(', ')}`);
  }
  console.log(`Debian packages ready (${seconds(started)})`);
  return true;
}
