import { basename, dirname, join } from 'node:path';
import { wholeSectors } from '../../../disk/sectors.ts';
import { imageFacts } from '../../../formats/qemu-img.ts';
import { PRIVATE_FOLDER_MODE, syncFolder } from '../../../kernel/files/durable-file.ts';
import { isQcow2 } from '../../../disk/qcow2-start.ts';
import { Fault, systemCode } from '../../../kernel/fault.ts';
import {
  access,
  constants,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
} from '../../../kernel/files/files.ts';
import { makeFolders } from '../../../kernel/files/folders.ts';
import type { VmDefinition } from '../../../vm/definition.ts';
import { backingFileOf, backingUserOf, isSameFile } from '../layers/backing-users.ts';
import { newDiskState } from '../state/disk-changes.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import { identityOf } from '../state/file-identity.ts';
import { FileLock } from '../../../kernel/files/file-lock.ts';
import type { KnownVm } from '../vms/known-vms.ts';
import { quoted } from '../state/shell-word.ts';
import { isMarked, markerPath } from '../merge/unmerged.ts';
import { imagesOf, storeDefinition, type Image } from '../state/vm-images.ts';
import { vmPaths, vmsFolder, type EngineFolders, type VmPaths } from '../state/vm-paths.ts';
import { storeVmState, type DiskState, type VmState } from '../state/vm-state.ts';

/** Maps each path to a key of its file, the same for all names of one file. */
async function filesAt(paths: Iterable<string>): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const path of paths) {
    const found = await stat(path).catch((error: unknown) => {
      // A disk of another VM that is gone or unreachable prevents nobody from adding one.
      if (systemCode(error) !== undefined) {
        return undefined;
      }
      throw error;
    });
    files.set(found === undefined ? path : `${found.dev}:${found.ino}`, path);
  }
  return files;
}

/**
 * Takes a VM over. Refuses a name, an id or an image that another VM has. Only one VM is added at a
 * time, over all processes, so that two never take the same.
 *
 * @param others returns the existing VMs; called when nobody else can add one
 * @throws Fault `engine.vm-exists`, `engine.vm-busy`, and as `createVm` does
 */
export async function addVm(
  { folders, limits }: EngineParts,
  definition: VmDefinition,
  others: () => Promise<KnownVm[]>,
  signal: AbortSignal,
): Promise<void> {
  await makeFolders(folders.stateFolder);
  const path = join(folders.stateFolder, 'add.lock');
  const lock = await FileLock.take(path, limits.actionWaitMs, signal);
  if (lock === undefined) {
    throw new Fault(
      'engine.vm-busy',
      'Another VM is being added, which takes long; try again when it is there.',
    );
  }
  try {
    const known = await others();
    await assertNew(definition, known);
    await assertUnshared(definition, known, signal);
    await createVm(folders, definition, vmPaths(folders, definition.id), signal);
  } finally {
    await lock.release();
  }
}

async function assertNew(definition: VmDefinition, others: readonly KnownVm[]): Promise<void> {
  const images = await filesAt(imagesOf(definition).map(({ path }) => path));
  if (images.size < imagesOf(definition).length) {
    throw new Fault('engine.image-refused', 'Two disks of the VM have the same image.');
  }
  for (const other of others) {
    const isSame = other.id === definition.id || other.name === definition.name;
    const taken = [...(await filesAt(other.files))].find(([file]) => images.has(file));
    if (isSame || taken !== undefined) {
      const why = isSame ? 'is already there' : `already has the image ${taken?.[1] ?? ''}`;
      throw new Fault('engine.vm-exists', `The VM ${other.name} ${why}.`, { vmId: other.id });
    }
  }
}

/**
 * Refuses images that others use: writing to an image destroys those that have it as backing file,
 * and writing to its backing file destroys it.
 */
async function assertUnshared(
  definition: VmDefinition,
  others: readonly KnownVm[],
  signal: AbortSignal,
): Promise<void> {
  const images = imagesOf(definition);
  const own = new Set(images.map(({ path }) => path));
  for (const path of own) {
    await assertWhole(path);
    const why =
      (await whyBelowOthers(path, others)) ?? (await whyBackingOfOthers(path, own, signal));
    if (why !== undefined) {
      throw new Fault('engine.image-refused', `The image ${path} cannot be taken: ${why}.`, {
        path,
      });
    }
  }
}

async function whyBelowOthers(
  path: string,
  others: readonly KnownVm[],
): Promise<string | undefined> {
  const backing = await backingFileOf(path);
  for (const { name, files } of others) {
    for (const file of files) {
      if (backing !== undefined && (await isSameFile(backing, file))) {
        return `its backing file ${backing} is a disk of the VM ${name}, which writes to it`;
      }
      const below = await backingFileOf(file);
      if (below !== undefined && (await isSameFile(below, path))) {
        return `${file}, a disk of the VM ${name}, has it as its backing file`;
      }
    }
  }
  return undefined;
}

async function whyBackingOfOthers(
  path: string,
  own: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<string | undefined> {
  // A missing image is refused elsewhere, with other words.
  const user = (await isSameFile(path, path)) ? await backingUserOf(path, own, signal) : undefined;
  if (user === undefined) {
    return undefined;
  }
  let top = user;
  for (let above: string | undefined = user; above !== undefined;) {
    top = above;
    above = await backingUserOf(top, own, signal);
  }
  return (
    `${user} has it as its backing file and would be destroyed by what the guest writes. ` +
    `If that is wanted, make one image of all with "qemu-img convert -f qcow2 -O qcow2 ` +
    `${quoted(top)} COPY.qcow2"; then move ${user} to another folder, or take the copy for the VM`
  );
}

/**
 * Writes the state of a VM that is taken over. Its folder appears with everything in it or not at
 * all. Changes no image.
 * @throws Fault `engine.image-refused`, `engine.image-missing`, `vm.disk-size-differs`
 */
async function createVm(
  folders: EngineFolders,
  definition: VmDefinition,
  paths: VmPaths,
  signal: AbortSignal,
): Promise<void> {
  const disks: DiskState[] = [];
  for (const [index, image] of imagesOf(definition).entries()) {
    await assertUsable(image, signal);
    disks.push(await freshDisk(image, index));
  }
  const state: VmState = {
    version: 2,
    vmId: definition.id,
    fence: 0,
    started: 'no',
    stoppedInOrder: true,
    freezeSent: false,
    owedCommands: [],
    leftovers: [],
    disks,
    warnings: [],
  };
  await makeFolders(vmsFolder(folders.stateFolder));
  const making = `${paths.folder}.new`;
  await rm(making, { recursive: true, force: true });
  await mkdir(making, { mode: PRIVATE_FOLDER_MODE });
  await storeDefinition(join(making, basename(paths.definition)), definition);
  await storeVmState(join(making, basename(paths.state)), state);
  await rename(making, paths.folder);
  await syncFolder(dirname(paths.folder));
}

/** Refuses an image with unmerged overlays, which taking the image alone would lose. */
async function assertWhole(path: string): Promise<void> {
  if (await isMarked(path)) {
    throw new Fault(
      'engine.image-refused',
      `The image ${path} cannot be taken: it is not the whole disk, as ${markerPath(path)} says. ` +
        'Copy the disk with the command there; remove that file only if it is about another image.',
      { path },
    );
  }
}

async function freshDisk(image: Image, index: number): Promise<DiskState> {
  const disk = newDiskState({ id: image.id, index, excluded: image.excluded, base: image });
  const [base] = disk.layers;
  const layers = base === undefined ? [] : [{ ...base, identity: await identityOf(base, false) }];
  return { ...disk, layers, nextLayer: (await highestOverlay(image.path)) + 1 };
}

/** Returns the highest number of an overlay beside an image, from an earlier life of it. */
async function highestOverlay(path: string): Promise<number> {
  const prefix = `${basename(path)}.hk-`;
  const numbers = (await readdir(dirname(path)))
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number.parseInt(name.slice(prefix.length), 10))
    .filter((number) => Number.isSafeInteger(number));
  return Math.max(0, ...numbers);
}

/**
 * Fields of a qcow2 header which show that an image is more than one file (docs/interop/qcow2.txt).
 */
const QCOW2 = {
  headerBytes: 80,
  cryptMethodAt: 32,
  incompatibleFeaturesAt: 72,
  externalDataFile: 1n << 2n,
} as const;

/** @throws Fault `engine.image-refused`, `engine.image-missing`, `vm.disk-size-differs` */
export async function assertUsable(image: Image, signal: AbortSignal): Promise<void> {
  const { path, format } = image;
  const refuse = (why: string) =>
    new Fault('engine.image-refused', `The image ${path} cannot be taken: ${why}.`, { path });
  const found = await stat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') {
      throw new Fault('engine.image-missing', `There is no image ${path}.`, { path });
    }
    throw error;
  });
  if (!found.isFile()) {
    throw refuse('it is not a regular file');
  }
  await access(dirname(path), constants.W_OK).catch(() => {
    throw refuse('its folder cannot be written, where layers would go');
  });
  if (format === 'qcow2') {
    const why = await whyNotPlainQcow2(path);
    if (why !== undefined) {
      throw refuse(why);
    }
  }
  if (format === 'raw' && found.size !== wholeSectors(found.size)) {
    throw refuse(
      `its ${found.size} bytes are no whole sectors of 512. Add zeros to its end with "truncate -s ${wholeSectors(found.size)} ${path}" and leave the size out or correct it`,
    );
  }
  const { virtualSize, backingFile } = await imageFacts({ path, format }, signal);
  if (backingFile !== undefined) {
    throw refuse(
      `it stands on ${backingFile}; make one that stands alone with "qemu-img convert ` +
        `-f ${format} -O qcow2 ${quoted(path)} NEW.qcow2"`,
    );
  }
  if (image.sizeBytes !== undefined && virtualSize !== image.sizeBytes) {
    throw new Fault(
      'vm.disk-size-differs',
      `The image ${path} has ${virtualSize} bytes, its definition says ${image.sizeBytes}.`,
      { path, imageBytes: virtualSize, definedBytes: image.sizeBytes },
    );
  }
}

async function whyNotPlainQcow2(path: string): Promise<string | undefined> {
  await using file = await open(path, 'r');
  const header = Buffer.alloc(QCOW2.headerBytes);
  const { bytesRead } = await file.read(header, 0, header.length, 0);
  if (bytesRead < header.length || !isQcow2(header)) {
    return 'it is not a qcow2 image';
  }
  if (header.readUInt32BE(4) < 3) {
    return 'its qcow2 version is too old; run qemu-img amend -o compat=1.1';
  }
  if (header.readUInt32BE(QCOW2.cryptMethodAt) !== 0) {
    return 'it is encrypted by QEMU';
  }
  const features = header.readBigUInt64BE(QCOW2.incompatibleFeaturesAt);
  if ((features & QCOW2.externalDataFile) !== 0n) {
    return 'its data is in another file';
  }
  return undefined;
}
