import { inspectImage, looksLike } from '../../../formats/image-inspection.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { Cli } from '../../cli.ts';
import { askYes, canAsk } from '../../terminal/prompt.ts';
import { count } from '../../terminal/quantities.ts';
import type { ImageRequest, ImageToRead } from './import-plan.ts';

/** A raw disk that its guest encrypts whole begins like this too. */
const ALSO_RAW = ['LUKS'];

/**
 * Decides how each image is read. `--format` counts if given. Otherwise the content is checked, and
 * if it contradicts the file's name the user is asked: cloud images named `.img` are often qcow2,
 * and a guest can write the header of any format to its raw disk.
 *
 * @throws Fault `request.invalid` if there is nobody to ask, `formats.*`
 */
export async function settleFormats(
  cli: Cli,
  requests: readonly ImageRequest[],
  isGiven: boolean,
): Promise<ImageToRead[]> {
  const settled: ImageToRead[] = [];
  for (const request of requests) {
    const like = isGiven ? request.format : await looksLike(request.path, cli.signal);
    settled.push({ ...request, format: await settle(cli, request, like) });
  }
  return settled;
}

async function settle(
  cli: Cli,
  { path, format = 'raw' }: ImageRequest,
  like: string | undefined,
): Promise<ImageToRead['format']> {
  if (format === 'qcow2') {
    if (like !== 'qcow2') {
      throw contradicts(path, `is named like qcow2 and begins like ${like ?? 'no image format'}`);
    }
    return format;
  }
  if (like === undefined || like === 'raw' || ALSO_RAW.includes(like)) {
    return format;
  }
  if (like !== 'qcow2') {
    throw new Fault(
      'formats.image-unsupported',
      `${path} begins like ${like}. Convert it with qemu-img convert -O qcow2, or say --format raw if the guest's disk itself begins so. Nothing was imported.`,
      { path },
    );
  }
  const question = `${path} begins like a qcow2 image. Read it as qcow2?`;
  const { terminal } = cli.environment;
  if (canAsk(terminal) && (await askYes(terminal, question, cli.signal))) {
    return 'qcow2';
  }
  throw contradicts(path, 'begins like a qcow2 image, and its name does not say qcow2');
}

function contradicts(path: string, what: string): Fault {
  return new Fault(
    'request.invalid',
    `The file ${path} ${what}. Say which it is: --format qcow2, or --format raw if the disk itself begins so. Nothing was imported.`,
    { path },
  );
}

/** Returns which parts of the images are not in the recovery point, as sentences for it. */
export async function leftOutOf(
  images: readonly ImageToRead[],
  signal: AbortSignal,
): Promise<string[]> {
  const notes: string[] = [];
  for (const { path, format, name } of images) {
    const inspection = await inspectImage(path, format, signal);
    const snapshots = inspection.format === 'qcow2' ? inspection.snapshotCount : 0;
    if (snapshots > 0) {
      notes.push(
        `The image of disk ${name} holds ${count(snapshots, 'internal snapshot')}; only its present content was imported.`,
      );
    }
  }
  return notes;
}
