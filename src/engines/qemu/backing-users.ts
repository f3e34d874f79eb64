import { dirname, join, resolve } from 'node:path';
import { systemCode } from '../../kernel/fault.ts';
import { open, readdir, realpath } from '../../kernel/files.ts';
import type { VmId } from '../engine.ts';
import type { EngineParts } from './engine-parts.ts';
import { loadVm } from './managed-vm.ts';
import { vmPaths } from './vm-paths.ts';

const QCOW2_MAGIC = 0x514649fb;
const HEADER_BYTES = 20;
const NAME_BYTES_MAX = 1023;

/**
 * An image beside `path` whose header names `path` as its backing file, as far as can be told:
 * writing to `path` would destroy it. Files of `own` do not count.
 */
export async function backingUserOf(
  path: string,
  own: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const target = await realpath(path);
  for (const folder of new Set([dirname(path), dirname(target)])) {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      signal.throwIfAborted();
      const file = join(folder, entry.name);
      if (!entry.isFile() || own.has(file) || file === target) {
        continue;
      }
      const named = await backingName(file);
      if (named !== undefined && (await isSame(resolve(folder, named), target))) {
        return file;
      }
    }
  }
  return undefined;
}

async function isSame(named: string, target: string): Promise<boolean> {
  return realpath(named).then(
    (found) => found === target,
    () => false,
  );
}

/** What a qcow2 header names; undefined for any other file, and for one that cannot be read. */
async function backingName(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path, 'r');
    const header = Buffer.alloc(HEADER_BYTES);
    const { bytesRead } = await file.read(header, 0, HEADER_BYTES, 0);
    const length = bytesRead < HEADER_BYTES ? 0 : header.readUInt32BE(16);
    if (length === 0 || length > NAME_BYTES_MAX || header.readUInt32BE(0) !== QCOW2_MAGIC) {
      return undefined;
    }
    const name = Buffer.alloc(length);
    await file.read(name, 0, length, Number(header.readBigUInt64BE(8)));
    return name.toString('utf8').replace(/^file:/, '');
  } catch (error) {
    if (systemCode(error) === undefined) {
      throw error;
    }
    return undefined;
  }
}

/** The files of all of `vms` that can be read. */
export async function filesOfVms(
  { folders, log }: Pick<EngineParts, 'folders' | 'log'>,
  vms: readonly VmId[],
): Promise<Set<string>> {
  const files = new Set<string>();
  for (const vm of vms) {
    const loaded = await loadVm(vmPaths(folders, vm), vm).catch((error: unknown) => {
      // Damaged, or removed just now: what it has is told by nobody.
      log.warn('engine.files-unknown', { vmId: vm, error });
      return undefined;
    });
    for (const { layers } of loaded?.state.disks ?? []) {
      for (const { path } of layers) {
        files.add(path);
      }
    }
  }
  return files;
}
