import { DiskWriter } from '../disk/disk-writer.ts';

/** A new image being filled. It gets its name when it is finished, or it never existed. */
export abstract class ImageWriter extends DiskWriter {
  /**
   * Makes everything durable, closes the image and gives it its name. All writes have returned.
   *
   * @throws Fault `formats.image-exists` when there is a file of that name by now,
   *   `formats.image-replaced` when somebody else began the same image
   */
  abstract finish(signal: AbortSignal): Promise<void>;

  /** Gives the image up, unless it is finished. */
  abstract override close(): Promise<void>;
}
