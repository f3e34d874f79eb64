// What the guests of the comparison are made of.

/** In every Debian machine that people work on. */
const BASE = [
  ...['libc6', 'libc-bin', 'coreutils', 'bash', 'dpkg', 'apt', 'perl-base', 'tzdata', 'locales'],
  ...['systemd', 'udev', 'openssh-server', 'openssh-client', 'openssl', 'libssl3', 'gnupg', 'curl'],
  ...['libcurl4', 'libglib2.0-0', 'libicu72', 'perl-modules-5.36', 'libperl5.36', 'git', 'git-man'],
  ...['python3.11', 'python3.11-minimal', 'libpython3.11-stdlib', 'vim-runtime'],
];

export interface GuestRecipe {
  readonly name: string;
  readonly packages: readonly string[];
  readonly databaseBytes: number;
  readonly logBytes: number;
  readonly diskBytes: number;
}

export interface DayRecipe {
  /** Pages of 8 KiB of the database that are written again in place. */
  readonly databasePages: number;
  readonly logBytes: number;
  /** Files of updated packages, written anew at another place. */
  readonly updatedBytes: number;
}

export interface Recipes {
  readonly guest: GuestRecipe;
  readonly day: DayRecipe;
  readonly second: GuestRecipe;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Guests of about 1 GB each; more than half of the second is in the first. */
const FULL: Recipes = {
  guest: {
    name: 'build machine',
    packages: [
      ...BASE,
      ...['linux-image-cloud-amd64', 'openjdk-17-jre-headless', 'libllvm14', 'python3-numpy'],
      ...['gcc-12', 'g++-12', 'cpp-12', 'binutils-x86-64-linux-gnu', 'libstdc++-12-dev'],
      ...['libgcc-12-dev', 'libc6-dev', 'llvm-14', 'cmake', 'cmake-data'],
    ],
    databaseBytes: 64 * MIB,
    logBytes: 8 * MIB,
    diskBytes: 4 * GIB,
  },
  day: { databasePages: 1500, logBytes: 10 * MIB, updatedBytes: 24 * MIB },
  second: {
    name: 'application server',
    packages: [
      ...BASE,
      ...['linux-image-cloud-amd64', 'openjdk-17-jre-headless', 'libllvm14', 'python3-numpy'],
      ...['postgresql-15', 'mariadb-server', 'docker.io', 'libnode108'],
      ...['redis-tools', 'nginx', 'samba-libs'],
    ],
    databaseBytes: 64 * MIB,
    logBytes: 12 * MIB,
    diskBytes: 4 * GIB,
  },
};

/** A few hundred MB, to see that everything works. */
const QUICK: Recipes = {
  guest: {
    name: 'small build machine',
    packages: ['git', 'libicu72', 'libperl5.36', 'perl-modules-5.36', 'gcc-12'],
    databaseBytes: 16 * MIB,
    logBytes: 2 * MIB,
    diskBytes: GIB,
  },
  day: { databasePages: 300, logBytes: 2 * MIB, updatedBytes: 4 * MIB },
  second: {
    name: 'small application server',
    packages: ['git', 'libicu72', 'libperl5.36', 'perl-modules-5.36', 'postgresql-15'],
    databaseBytes: 24 * MIB,
    logBytes: 3 * MIB,
    diskBytes: GIB,
  },
};

export function recipes(isQuick: boolean): Recipes {
  return isQuick ? QUICK : FULL;
}
