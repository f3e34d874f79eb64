import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

export interface DiskLimits {
  /** Reads and writes together. */
  readonly bytesPerSecond: number;
  readonly requestsPerSecond: number;
}

/**
 * A file system on a disk with limits that all of its users share: a write of one waits for what
 * another one reads. No control group is needed: a block device of the kernel (loop) lies on a file
 * that QEMU's storage daemon serves (FUSE) through a throttle. Only root can make one.
 */
export class LimitedDisk implements Disposable {
  /** Where it is mounted. */
  readonly path: string;
  private readonly folder = mkdtempSync('/tmp/hk-limited-');
  private device = '';

  constructor(sizeBytes: number, limits: DiskLimits) {
    this.path = join(this.folder, 'disk');
    try {
      this.serve(sizeBytes, limits);
      // Not past the cache: mkfs.ext4 then leaves a file system that is not whole.
      const options = ['--find', '--show', this.served];
      this.device = execFileSync('losetup', options).toString().trim();
      execFileSync('mkfs.ext4', ['-q', '-E', 'nodiscard', this.device]);
      mkdirSync(this.path);
      execFileSync('mount', [this.device, this.path]);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Forgets what was read: the next reader waits for the disk. */
  dropCaches(): void {
    execFileSync('sync', ['-f', this.path]);
    writeFileSync('/proc/sys/vm/drop_caches', '1');
  }

  [Symbol.dispose](): void {
    const quietly = { stdio: 'ignore' } as const;
    for (const [program, ...words] of [
      ['umount', this.path],
      ['losetup', '--detach', this.device],
      ['umount', this.served],
    ] as const) {
      try {
        execFileSync(program, words, quietly);
      } catch {
        // It was not there yet.
      }
    }
    if (existsSync(this.pidFile)) {
      process.kill(Number(readFileSync(this.pidFile, 'utf8')), 'SIGTERM');
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private serve(sizeBytes: number, { bytesPerSecond, requestsPerSecond }: DiskLimits): void {
    const image = join(this.folder, 'image');
    writeFileSync(image, '');
    truncateSync(image, sizeBytes);
    writeFileSync(this.served, '');
    const limits = `x-bps-total=${String(bytesPerSecond)},x-iops-total=${String(requestsPerSecond)}`;
    const options = [
      ['--object', `throttle-group,id=limit,${limits}`],
      ['--blockdev', `driver=file,node-name=file,filename=${image}`],
      ['--blockdev', 'driver=throttle,node-name=limited,throttle-group=limit,file=file'],
      ['--export', `fuse,id=served,node-name=limited,mountpoint=${this.served},writable=on`],
      ['--pidfile', this.pidFile],
      ['--daemonize'],
    ];
    execFileSync('qemu-storage-daemon', options.flat());
  }

  private get served(): string {
    return join(this.folder, 'served');
  }

  private get pidFile(): string {
    return join(this.folder, 'pid');
  }
}
