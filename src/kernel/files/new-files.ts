import { PartFile } from './part-file.ts';

/**
 * Files that are written as `NAME.part` and get their names once all of them are whole. Disposing
 * without `publish` removes them, so nothing half-written has a name that somebody could trust.
 * Existing files are never replaced, except `.part` files of a stopped attempt.
 */
export class NewFiles implements AsyncDisposable {
  private readonly parts: PartFile[] = [];

  /** @throws Fault `target.exists` if one of the files exists */
  static async refuseExisting(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      await PartFile.refuseExisting(path);
    }
  }

  /**
   * Makes the empty file that will be `path`. Of two attempts at the same files, the one that made
   * the first file last goes on; the other fails here.
   *
   * @returns the path of the file until then
   * @throws Fault `target.exists`, `target.replaced`
   */
  async add(path: string): Promise<string> {
    await this.requireOurs();
    const part = await PartFile.create(path);
    this.parts.push(part);
    return part.path;
  }

  /** Names all files, in the order they were added; none if one of them is not ours any more. */
  async publish(): Promise<void> {
    await this.requireOurs();
    for (let part = this.parts[0]; part !== undefined; part = this.parts[0]) {
      await part.publish();
      this.parts.shift();
    }
  }

  private async requireOurs(): Promise<void> {
    for (const part of this.parts) {
      await part.requireOurs();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.parts) {
      await part.discard();
    }
  }
}
