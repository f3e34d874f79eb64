import { lstat, mkdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onEach, when, type Attack } from './attack.ts';
import type { HomeLab } from './home-lab.ts';

/** Folders of the home, its vault, and what they hold. */
async function ours(lab: HomeLab) {
  const [home, vault] = await Promise.all([
    lab.below(lab.home()),
    lab.below(join(lab.shared(), 'vault')),
  ]);
  return {
    folders: [...home.folders, ...vault.folders],
    files: [...home.files, ...vault.files],
    sockets: home.sockets,
  };
}

/** The service and everything that it has started, by their process groups' homes. */
async function processes(lab: HomeLab): Promise<number[]> {
  const pids = [lab.pid];
  for (const folder of (await lab.below(join(lab.home(), 'run'))).files) {
    if (folder.endsWith('/pid')) {
      pids.push(Number.parseInt(await readFile(folder, 'utf8'), 10));
    }
  }
  const text = await readFile(join(lab.home(), 'postgres/data/postmaster.pid'), 'utf8');
  return [...pids, Number.parseInt(text, 10)];
}

async function inProc(lab: HomeLab, ...names: string[]): Promise<string[]> {
  const pids = await processes(lab);
  return pids.flatMap((pid) => names.map((name) => `/proc/${String(pid)}/${name}`));
}

/** Modes and rights: each file, folder, socket and process of the service. */
export const FILE_ATTACKS: readonly Attack[] = [
  {
    name: 'lists the folders of the home and of the vault',
    try: async (lab) => onEach(lab, 'list', (await ours(lab)).folders),
  },
  {
    name: 'reads each file',
    try: async (lab) => onEach(lab, 'read', (await ours(lab)).files),
  },
  {
    name: 'writes into each file',
    try: async (lab) => onEach(lab, 'write', (await ours(lab)).files),
  },
  {
    name: 'deletes each file and socket',
    try: async (lab) => {
      const { files, sockets } = await ours(lab);
      return onEach(lab, 'remove', [...files, ...sockets]);
    },
  },
  {
    name: 'renames each folder, file and socket',
    try: async (lab) => {
      const { folders, files, sockets } = await ours(lab);
      return onEach(lab, 'rename', [...folders, ...files, ...sockets], join(lab.theirs(), 'taken'));
    },
  },
  {
    name: 'opens each folder and file to all',
    try: async (lab) => {
      const { folders, files, sockets } = await ours(lab);
      return onEach(lab, 'chmod', [...folders, ...files, ...sockets]);
    },
  },
  {
    name: 'links each file into a folder of his own',
    try: async (lab) => {
      const { files } = await ours(lab);
      const through: string[] = [];
      for (const [index, path] of files.entries()) {
        const name = join(lab.theirs(), `link-${String(index)}`);
        if ((await lab.stranger.tries('link', path, name)) === 'done') {
          const mode = await lab.stranger.tries('read', name);
          through.push(...when(mode === 'done', `link ${path}`));
          await rm(name);
        }
      }
      return through;
    },
  },
  {
    name: 'makes files in each folder',
    try: async (lab) => {
      const paths = (await ours(lab)).folders.map((folder) => join(folder, 'planted'));
      return onEach(lab, 'make', paths);
    },
  },
  {
    name: 'connects to each socket',
    try: async (lab) => onEach(lab, 'reach', (await ours(lab)).sockets),
  },
  {
    name: 'listens under the name of each socket',
    try: async (lab) => onEach(lab, 'listen', (await ours(lab)).sockets),
  },
  {
    name: 'reads the environments and memories of the processes',
    try: async (lab) =>
      onEach(lab, 'read', await inProc(lab, 'environ', 'mem', 'maps', 'auxv', 'stack')),
  },
  {
    name: 'goes through the open files and folders of the processes',
    try: async (lab) =>
      onEach(lab, 'list', await inProc(lab, 'fd', 'cwd/', 'root/home', 'map_files')),
  },
  {
    name: 'ends the processes',
    try: async (lab) => {
      const through: string[] = [];
      for (const pid of await processes(lab)) {
        const outcome = await lab.stranger.tries('signal', pid);
        through.push(...when(outcome === 'done', `ended ${String(pid)}`));
      }
      return through;
    },
  },
  {
    name: 'looks for secrets in the command lines of the processes',
    try: async (lab) => {
      const token = (await readFile(join(lab.home(), 'api-token'), 'utf8')).trim();
      const password = await readFile(join(lab.home(), 'postgres.password'), 'utf8');
      const lines = await Promise.all(
        (await inProc(lab, 'cmdline')).map(async (path) => readFile(path, 'utf8')),
      );
      return [token, password, 'correct-horse'].flatMap((secret) =>
        when(lines.join(' ').includes(secret), 'a secret is in a command line'),
      );
    },
  },
  {
    name: 'looks for sockets without a file that belong to the service',
    try: async (lab) => {
      const own = new Set<string>();
      for (const path of await inProc(lab, 'fd')) {
        for (let fd = 0; fd < 256; fd += 1) {
          own.add(await readlink(`${path}/${String(fd)}`).catch(() => ''));
        }
      }
      const names = (await readFile('/proc/net/unix', 'utf8')).split('\n').flatMap((line) => {
        const [, , , , , , inode = '', name = ''] = line.trim().split(/\s+/);
        return name.startsWith('@') && own.has(`socket:[${inode}]`) ? [name] : [];
      });
      return names.map((name) => `everybody reaches ${name}`);
    },
  },
  {
    name: 'has a link under the name of a half-written file',
    try: async (lab) => planted(lab, 'symlink'),
  },
  {
    name: 'has a file of his under the name of a half-written file',
    try: async (lab) => planted(lab, 'make'),
  },
  {
    name: 'has a link under the name of a recovery file',
    try: async (lab) => {
      const victim = await makeVictim(lab);
      const link = join(lab.shared(), 'recovery.txt');
      await lab.stranger.tries('symlink', victim, link);
      const vault = join(lab.folder, 'images', 'second');
      const words = ['vault', 'create', 'second', '--location', vault, '--recovery-file', link];
      const { exitCode } = await lab.cli(words);
      return [...(await touched(victim)), ...when(exitCode !== 5, `it ended ${String(exitCode)}`)];
    },
  },
  {
    name: 'reads what root restored into a folder of all',
    try: async (lab) => {
      const to = join(lab.shared(), 'restored');
      await lab.must([
        'restore',
        'latest',
        '--vm',
        'web',
        '--to',
        to,
        '--as',
        'other',
        '--no-add',
        '--wait',
      ]);
      return onEach(lab, 'read', (await lab.below(to)).files);
    },
  },
];

/** Root restores to where he has put something under the name that the restore uses. */
async function planted(lab: HomeLab, how: 'symlink' | 'make'): Promise<string[]> {
  const victim = await makeVictim(lab);
  const to = join(lab.shared(), `to-${how}`);
  await mkdir(to);
  const { exitCode: first } = await lab.cli(restore(to));
  const { files } = await lab.below(to);
  await rm(to, { recursive: true });
  await lab.stranger.tries('mkdir', to);
  await lab.stranger.tries('open', to);
  const parts = files.map((file) => `${file}.part`);
  for (const part of parts) {
    await (how === 'symlink'
      ? lab.stranger.tries('symlink', victim, part)
      : lab.stranger.tries('make', part));
  }
  const { exitCode } = await lab.cli(restore(to));
  const stay = await Promise.all(parts.map(async (part) => lstat(part).then(Boolean, () => false)));
  return [
    ...(await touched(victim)),
    ...when(first !== 0 || files.length === 0, 'nothing was restored before: the attack was none'),
    ...when(exitCode === 0, 'the restore took the planted files for its own'),
    ...when(stay.includes(false), 'a file of somebody else was deleted'),
  ];
}

const restore = (to: string): string[] => [
  ...['restore', 'latest', '--vm', 'web', '--to', to, '--as', 'other', '--no-add', '--wait'],
];

export async function makeVictim(lab: HomeLab): Promise<string> {
  const victim = join(lab.folder, 'images', 'victim');
  await writeFile(victim, 'precious', { mode: 0o600 });
  return victim;
}

async function touched(victim: string): Promise<string[]> {
  const content = await readFile(victim, 'utf8').catch(() => 'gone');
  const { uid, mode } = await lstat(victim).catch(() => ({ uid: -1, mode: 0 }));
  return when(
    content !== 'precious' || uid !== 0 || (mode & 0o777) !== 0o600,
    `the victim is ${content}, of ${String(uid)}`,
  );
}
