// The test guest: a small real Linux (Debian's kernel, busybox, qemu-guest-agent) that boots in
// seconds without KVM. Built without root, loop devices or mounts; cached by the hash of its
// inputs.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  cp,
  mkdir,
  open,
  readFile,
  readdir,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { cacheFolder, withLock } from '../setup/cache.mjs';
import { systemPath } from '../setup/debian.mjs';
import { mustRun, seconds } from '../setup/run.mjs';
import { cpioArchive, type CpioEntry } from './cpio.ts';
import { downloadDebianPackages, unpack, type DebianPackage } from './debian-packages.ts';

/** Files of the built guest, all read-only inputs: copy the system disk before use. */
export interface TestGuest {
  readonly kernelPath: string;
  readonly initrdPath: string;
  /** qcow2, 512 MiB virtual; boots with kernelPath, initrdPath and commandLine. */
  readonly systemImagePath: string;
  readonly systemSizeBytes: number;
  /**
   * Append ` hk.writer=PAUSE_MS` to start the writer at boot, ` hk.check=on` to check its journal.
   */
  readonly commandLine: string;
  /** False when the cache had it. */
  readonly wasBuilt: boolean;
}

const MIB = 1024 * 1024;
const SYSTEM_BYTES = 512 * MIB;
const PARTITION_START = MIB;
const FILES = join(import.meta.dirname, 'files');
/** An emulated timer can be late on a busy host: the kernel takes that for broken and stops. */
const COMMAND_LINE = 'console=ttyS0 quiet mitigations=off no_timer_check';
/** A fixed past, so that the same inputs give the same guest. */
const EPOCH_S = 1_700_000_000;

const PACKAGES = [
  'linux-image-cloud-amd64',
  'busybox-static',
  'qemu-guest-agent',
  'libc6',
  'libglib2.0-0',
  'libnuma1',
  'libudev1',
  'liburing2',
  'libpcre2-8-0',
];
/** What qemu-ga loads. */
const LIBRARIES = [
  'libudev.so.1',
  'libnuma.so.1',
  'liburing.so.2',
  'libglib-2.0.so.0',
  'libgmodule-2.0.so.0',
  'libpcre2-8.so.0',
  'libpthread.so.0',
  'libm.so.6',
  'libc.so.6',
];
/** Drivers that are modules in Debian's cloud kernel (ext4, serial and PCI are built in). */
const MODULES = [
  'virtio_pci',
  'virtio_blk',
  'virtio_console',
  'virtio_net',
  'evdev',
  'button',
  'efivarfs',
];

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Hash over everything in this folder that decides what the guest is. */
async function recipeHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const path of await filesUnder(import.meta.dirname)) {
    hash.update(`${relative(import.meta.dirname, path)}\0`).update(await readFile(path));
  }
  return hash.digest('hex').slice(0, 16);
}

async function tool(file: string, parameters: readonly string[]): Promise<void> {
  const env = { PATH: systemPath(), LANG: 'C', E2FSPROGS_FAKE_TIME: String(EPOCH_S) };
  await mustRun(file, parameters, { output: 'keep', env });
}

/** Modules after the ones they need, from the `depends=` entry that every module carries. */
async function modulesInOrder(kernelFolder: string): Promise<Map<string, Buffer>> {
  const paths = new Map<string, string>();
  for (const path of await filesUnder(kernelFolder)) {
    const name = /\/([^/]+)\.ko$/.exec(path)?.[1];
    if (name !== undefined) {
      paths.set(name.replaceAll('-', '_'), path);
    }
  }
  const ordered = new Map<string, Buffer>();
  const add = async (name: string): Promise<void> => {
    const path = paths.get(name);
    if (ordered.has(name) || path === undefined) {
      return;
    }
    const content = await readFile(path);
    const needs = /\0depends=([^\0]*)\0/.exec(content.toString('latin1'))?.[1] ?? '';
    for (const need of needs.split(',').filter(Boolean)) {
      await add(need.replaceAll('-', '_'));
    }
    ordered.set(name, content);
  };
  for (const name of MODULES) {
    await add(name);
  }
  return ordered;
}

async function buildInitrd(unpacked: string, target: string): Promise<void> {
  const [version = ''] = await readdir(join(unpacked, 'lib/modules'));
  const modules = await modulesInOrder(join(unpacked, 'lib/modules', version, 'kernel'));
  const folders = ['bin', 'dev', 'modules', 'proc', 'root', 'sys'];
  const applets = ['sh', 'cat', 'findfs', 'insmod', 'mount', 'poweroff', 'switch_root', 'usleep'];
  const busybox = await readFile(join(unpacked, 'bin/busybox'));
  const entries: CpioEntry[] = [
    ...folders.map((path) => ({ path, mode: 0o040755 })),
    { path: 'dev/console', mode: 0o020600, device: [5, 1] },
    { path: 'init', mode: 0o100755, content: await readFile(join(FILES, 'initrd/init')) },
    { path: 'bin/busybox', mode: 0o100755, content: busybox },
    ...applets.map((name) => ({
      path: `bin/${name}`,
      mode: 0o120777,
      content: Buffer.from('busybox'),
    })),
    { path: 'modules/order', mode: 0o100644, content: Buffer.from([...modules.keys()].join('\n')) },
    ...[...modules].map(([name, content]) => ({
      path: `modules/${name}.ko`,
      mode: 0o100644,
      content,
    })),
  ];
  await writeFile(target, gzipSync(cpioArchive(entries), { level: 9 }));
}

async function buildRootFolder(unpacked: string, root: string): Promise<void> {
  for (const folder of [
    'bin',
    'sbin',
    'etc',
    'data',
    'dev',
    'lib64',
    'proc',
    'run',
    'sys',
    'tmp',
  ]) {
    await mkdir(join(root, folder), { recursive: true });
  }
  for (const folder of ['var', 'lib/x86_64-linux-gnu']) {
    await mkdir(join(root, folder), { recursive: true });
  }
  await cp(join(unpacked, 'bin/busybox'), join(root, 'bin/busybox'));
  const { text } = await mustRun(join(root, 'bin/busybox'), ['--list'], { output: 'keep' });
  for (const applet of text.split('\n').filter((name) => name !== '' && name !== 'busybox')) {
    await symlink('busybox', join(root, 'bin', applet));
  }
  await symlink('../bin/busybox', join(root, 'sbin/init'));
  await cp(join(unpacked, 'usr/sbin/qemu-ga'), join(root, 'sbin/qemu-ga'));
  const loader = 'lib64/ld-linux-x86-64.so.2';
  await cp(join(unpacked, loader), join(root, loader), { dereference: true });
  for (const name of LIBRARIES) {
    const found = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu']
      .map((folder) => join(unpacked, folder, name))
      .find((path) => existsSync(path));
    await cp(found ?? name, join(root, 'lib/x86_64-linux-gnu', name), { dereference: true });
  }
  await cp(join(FILES, 'root'), root, { recursive: true });
  for (const path of await filesUnder(join(FILES, 'root'))) {
    const isData = path.endsWith('inittab');
    await chmod(join(root, relative(join(FILES, 'root'), path)), isData ? 0o644 : 0o755);
  }
}

/** A raw disk with one partition: the file system is written straight to where it belongs. */
async function buildSystemImage(root: string, raw: string, target: string): Promise<void> {
  const sectors = (SYSTEM_BYTES - PARTITION_START) / 512;
  const table = Buffer.alloc(512);
  table.set([0x80, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff], 446);
  table.writeUInt32LE(PARTITION_START / 512, 454);
  table.writeUInt32LE(sectors, 458);
  table.writeUInt16LE(0xaa55, 510);
  await using disk = await open(raw, 'w');
  await disk.write(table, 0, 512, 0);
  await disk.truncate(SYSTEM_BYTES);
  const id = '6c1f7c7e-0001-4000-8000-686b726f6f74';
  const extended = [
    `offset=${PARTITION_START}`,
    `hash_seed=${id}`,
    'root_owner=0:0',
    'lazy_itable_init=0',
    'lazy_journal_init=0',
  ];
  await tool('mkfs.ext4', [
    ...['-q', '-F', '-L', 'hkroot', '-U', id, '-N', '8192', '-J', 'size=8'],
    ...['-E', extended.join(','), '-d', root, raw, `${sectors / 2}k`],
  ]);
  await tool('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, target]);
}

async function build(debs: readonly DebianPackage[], home: string): Promise<void> {
  const draft = `${home}.${process.pid}.tmp`;
  const unpacked = join(draft, 'unpacked');
  const root = join(draft, 'root');
  await mkdir(unpacked, { recursive: true });
  try {
    for (const deb of debs) {
      await unpack(deb, unpacked);
    }
    const kernel = (await readdir(join(unpacked, 'boot'))).find((name) =>
      name.startsWith('vmlinuz-'),
    );
    await cp(join(unpacked, 'boot', kernel ?? 'vmlinuz'), join(draft, 'vmlinuz'));
    await buildInitrd(unpacked, join(draft, 'initrd.gz'));
    await buildRootFolder(unpacked, root);
    for (const path of await filesUnder(root)) {
      await utimes(path, EPOCH_S, EPOCH_S);
    }
    await buildSystemImage(root, join(draft, 'system.raw'), join(draft, 'system.qcow2'));
    const versions = debs.map((deb) => deb.fileName).join('\n');
    await writeFile(join(draft, 'packages.txt'), `${versions}\n`);
    for (const name of ['unpacked', 'root', 'system.raw']) {
      await rm(join(draft, name), { recursive: true });
    }
    await rm(home, { recursive: true, force: true });
    await rename(draft, home);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function readPointer(path: string): Promise<string | undefined> {
  return existsSync(path) ? readFile(path, 'utf8') : undefined;
}

/**
 * The guest as this version of the recipe builds it. The cache keeps an image by the hash of recipe
 * and package versions, and remembers which image a recipe gave, so that a second call needs
 * neither apt nor the network. Set HYPERKEEP_GUEST_REFRESH=1 to look for newer packages.
 */
export async function ensureTestGuest(): Promise<TestGuest> {
  const folder = cacheFolder('guest');
  const recipe = await recipeHash();
  const pointer = join(folder, `recipe-${recipe}`);
  const refresh = process.env['HYPERKEEP_GUEST_REFRESH'] === '1';
  const known = refresh ? undefined : await readPointer(pointer);
  if (known !== undefined && existsSync(join(folder, known, 'system.qcow2'))) {
    return describe(join(folder, known), false);
  }
  return withLock('guest', async () => {
    const meanwhile = refresh ? undefined : await readPointer(pointer);
    if (meanwhile !== undefined && existsSync(join(folder, meanwhile, 'system.qcow2'))) {
      return describe(join(folder, meanwhile), false);
    }
    const started = performance.now();
    console.log('Building the test guest (Debian packages of about 32 MB)');
    const debs = await downloadDebianPackages(PACKAGES);
    const inputs = [recipe, ...debs.map((deb) => deb.sha256)].join('\n');
    const name = createHash('sha256').update(inputs).digest('hex').slice(0, 16);
    if (!existsSync(join(folder, name, 'system.qcow2'))) {
      await build(debs, join(folder, name));
    }
    await writeFile(`${pointer}.${process.pid}`, name);
    await rename(`${pointer}.${process.pid}`, pointer);
    console.log(`Test guest ready (${seconds(started)})`);
    return describe(join(folder, name), true);
  });
}

function describe(home: string, wasBuilt: boolean): TestGuest {
  return {
    kernelPath: join(home, 'vmlinuz'),
    initrdPath: join(home, 'initrd.gz'),
    systemImagePath: join(home, 'system.qcow2'),
    systemSizeBytes: SYSTEM_BYTES,
    commandLine: COMMAND_LINE,
    wasBuilt,
  };
}

/** A private copy of the system disk; qcow2 when `path` ends so, raw (sparse) otherwise. */
export async function makeSystemDisk(guest: TestGuest, path: string): Promise<void> {
  if (path.endsWith('.qcow2')) {
    await cp(guest.systemImagePath, path);
  } else {
    await tool('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', guest.systemImagePath, path]);
  }
}

/** An empty data disk (ext4, label hkdata, no partitions); the guest mounts it on /data. */
export async function makeDataDisk(path: string, sizeBytes: number): Promise<void> {
  const isQcow2 = path.endsWith('.qcow2');
  const raw = isQcow2 ? `${path}.raw` : path;
  {
    await using disk = await open(raw, 'w');
    await disk.truncate(sizeBytes);
  }
  // Few inodes and nothing lazy: the guest must not write in the background on its own.
  const extended = 'lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner=0:0';
  const shape = ['-q', '-F', '-L', 'hkdata', '-N', '65536', '-J', 'size=16', '-m', '0'];
  await tool('mkfs.ext4', [...shape, '-E', extended, raw]);
  if (isQcow2) {
    await tool('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path]);
    await rm(raw);
  }
}
