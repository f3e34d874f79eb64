import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, renameSync, statSync, truncateSync, utimesSync } from 'node:fs';
import type { Layer } from '../../../src/engines/qemu/state/vm-state.ts';
import { isMounted, type HandLab } from './hand-lab.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** What an administrator does to one disk behind our back. */
export interface Deed {
  readonly name: string;
  /** On a VM that is off, that runs, or both. */
  readonly when: 'off' | 'on' | 'both';
  do(hands: HandLab, disk: string, random: (limit: number) => number): Promise<Undo | undefined>;
}

/** Undoes what must be undone before anything can continue; until then the engine must refuse. */
export type Undo = () => Promise<void>;

function baseOf(hands: HandLab, disk: string): Layer {
  const [base] = hands.disk(disk).layers;
  if (base === undefined) {
    throw new Error(`${disk} has no layer`);
  }
  return base;
}

function topOf(hands: HandLab, disk: string): Layer {
  return hands.disk(disk).layers.at(-1) ?? baseOf(hands, disk);
}

async function write(
  hands: HandLab,
  { path, format }: Layer,
  random: (limit: number) => number,
): Promise<void> {
  const at = 4 * KiB * random(384);
  const command = `write -P ${String(1 + random(255))} ${String(at)} 8k`;
  await hands.tool('qemu-io', '-f', format, '-c', command, path);
}

/** Writes past every lock, as a loop device does. */
function writeRaw(path: string, random: (limit: number) => number): void {
  const count = String(random(400));
  const parameters = ['if=/dev/urandom', `of=${path}`, 'bs=4k', 'count=1', 'conv=notrunc'];
  execFileSync('dd', [...parameters, `seek=${count}`], { stdio: 'ignore' });
}

/**
 * Makes another image of the disk, as an older restore would: written to, and of the same format.
 */
async function otherImage(
  hands: HandLab,
  disk: string,
  random: (limit: number) => number,
): Promise<string> {
  const base = baseOf(hands, disk);
  const path = hands.newPath();
  await hands.tool('qemu-img', 'create', '-q', '-f', base.format, path, String(2 * MiB));
  await write(hands, { ...base, path }, random);
  return path;
}

export const DEEDS: readonly Deed[] = [
  {
    name: 'replace base',
    when: 'off',
    do: async (hands, disk, random) => {
      renameSync(await otherImage(hands, disk, random), baseOf(hands, disk).path);
      return undefined;
    },
  },
  {
    name: 'restore over base',
    when: 'off',
    do: async (hands, disk, random) => {
      copyFileSync(await otherImage(hands, disk, random), baseOf(hands, disk).path);
      return undefined;
    },
  },
  {
    name: 'convert over base',
    when: 'off',
    do: async (hands, disk, random) => {
      const { path, format } = baseOf(hands, disk);
      const other = await otherImage(hands, disk, random);
      await hands.tool('qemu-img', 'convert', '-f', format, '-O', format, other, path);
      return undefined;
    },
  },
  {
    name: 'write base',
    when: 'off',
    do: async (hands, disk, random) => {
      await write(hands, baseOf(hands, disk), random);
      return undefined;
    },
  },
  {
    name: 'write base and set its times back',
    when: 'off',
    do: async (hands, disk, random) => {
      const base = baseOf(hands, disk);
      const { atime, mtime } = statSync(base.path);
      await write(hands, base, random);
      utimesSync(base.path, atime, mtime);
      return undefined;
    },
  },
  {
    name: 'write top',
    when: 'off',
    do: async (hands, disk, random) => {
      await write(hands, topOf(hands, disk), random);
      return undefined;
    },
  },
  {
    name: 'grow base',
    when: 'off',
    do: async (hands, disk) => {
      const { path, format } = baseOf(hands, disk);
      await hands.tool('qemu-img', 'resize', '-q', '-f', format, path, '+64k');
      return undefined;
    },
  },
  {
    name: 'grow top',
    when: 'off',
    do: async (hands, disk) => {
      const { path, format } = topOf(hands, disk);
      await hands.tool('qemu-img', 'resize', '-q', '-f', format, path, '+64k');
      return undefined;
    },
  },
  {
    name: 'shrink base',
    when: 'off',
    do: async (hands, disk) => {
      const { path, format } = baseOf(hands, disk);
      await hands.tool('qemu-img', 'resize', '-q', '--shrink', '-f', format, path, '-64k');
      return undefined;
    },
  },
  {
    name: 'revert base',
    when: 'off',
    do: async (hands) => {
      const base = baseOf(hands, 'system');
      await hands.tool('qemu-img', 'snapshot', '-c', 'kept', base.path);
      await hands.tool('qemu-img', 'snapshot', '-a', 'kept', base.path);
      await hands.tool('qemu-img', 'snapshot', '-d', 'kept', base.path);
      return undefined;
    },
  },
  {
    name: 'commit top',
    when: 'off',
    do: async (hands, disk) => {
      const top = topOf(hands, disk);
      if (top !== baseOf(hands, disk) && top.format === 'qcow2') {
        await hands.tool('qemu-img', 'commit', '-q', '-f', 'qcow2', top.path);
      }
      return undefined;
    },
  },
  {
    name: 'change mode',
    when: 'both',
    do: async (hands, disk, random) => {
      chmodSync(baseOf(hands, disk).path, [0o600, 0o640, 0o644][random(3)] ?? 0o600);
      return undefined;
    },
  },
  {
    name: 'rename away',
    when: 'both',
    do: async (hands, disk) => {
      const { path } = baseOf(hands, disk);
      const away = hands.newPath();
      renameSync(path, away);
      return async () => {
        renameSync(away, path);
      };
    },
  },
  {
    name: 'unmount',
    when: 'both',
    do: async ({ diskFolder }) => {
      // The empty folder under the mount point, when nothing is mounted.
      execFileSync('mount', ['-t', 'tmpfs', 'none', diskFolder], { stdio: 'ignore' });
      return async () => {
        if (isMounted(diskFolder)) {
          execFileSync('umount', [diskFolder]);
        }
      };
    },
  },
  {
    name: 'write base past locks',
    when: 'on',
    do: async (hands, _, random) => {
      writeRaw(baseOf(hands, 'data').path, random);
      return undefined;
    },
  },
  {
    name: 'lengthen base',
    when: 'on',
    do: async (hands) => {
      const { path } = baseOf(hands, 'data');
      truncateSync(path, statSync(path).size + 64 * KiB);
      return undefined;
    },
  },
  {
    name: 'replace base under QEMU',
    when: 'on',
    do: async (hands, disk) => {
      const { path } = baseOf(hands, disk);
      const away = hands.newPath();
      copyFileSync(path, `${away}.copy`);
      renameSync(path, away);
      renameSync(`${away}.copy`, path);
      return async () => {
        renameSync(away, path);
      };
    },
  },
];
