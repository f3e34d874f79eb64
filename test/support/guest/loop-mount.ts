import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const IMAGE_BYTES = 96 * 1024 * 1024;

/** A file system in a file, mounted on a folder: as a disk that somebody plugs in and pulls out. */
export class LoopMount implements Disposable {
  readonly folder: string;
  /** Where it is mounted. */
  readonly path: string;
  private readonly image: string;

  private constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'hk-mount-'));
    this.path = join(this.folder, 'disk');
    this.image = join(this.folder, 'disk.img');
    mkdirSync(this.path);
    writeFileSync(this.image, '');
    truncateSync(this.image, IMAGE_BYTES);
  }

  /** @returns why it cannot, if mounting is not allowed */
  static make(): LoopMount | string {
    const made = new LoopMount();
    const failure =
      done('mkfs.ext4', '-q', '-F', '-O', '^has_journal', made.image) ?? made.tryMount();
    if (failure === undefined) {
      return made;
    }
    made[Symbol.dispose]();
    return failure;
  }

  mount(): void {
    orThrow(this.tryMount());
  }

  unmount(): void {
    orThrow(done('umount', this.path));
  }

  [Symbol.dispose](): void {
    done('umount', this.path);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private tryMount(): string | undefined {
    return done('mount', '-o', 'loop', this.image, this.path);
  }
}

function done(command: string, ...parameters: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync(command, parameters, { encoding: 'utf8' });
  return status === 0 ? undefined : `${command}: ${error?.message ?? stderr.trim()}`;
}

function orThrow(failure: string | undefined): void {
  if (failure !== undefined) {
    throw new Error(failure);
  }
}
