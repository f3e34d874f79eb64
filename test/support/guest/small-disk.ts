import { execFileSync } from 'node:child_process';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A small file system in memory, which a test can fill. Only root can mount one. */
export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async mount(path: string, mib: number): Promise<SmallDisk> {
    await mkdir(path);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${String(mib)}m,mode=755`, 'hk-test', path]);
    return new SmallDisk(path);
  }

  /** Leaves so much room. */
  async fill(roomBytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.path);
    await writeFile(this.ballast, Buffer.alloc(Math.max(0, bavail * bsize - roomBytes)));
  }

  async empty(): Promise<void> {
    await rm(this.ballast);
  }

  unmount(): void {
    execFileSync('umount', [this.path]);
  }

  private get ballast(): string {
    return join(this.path, 'ballast');
  }
}
