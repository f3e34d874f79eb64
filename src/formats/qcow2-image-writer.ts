import { assertInside } from '../disk/bounds.ts';
import { DiskWriter } from '../disk/disk-writer.ts';
import type { Extent } from '../disk/extent.ts';
import { NbdDiskWriter } from '../nbd/nbd-disk-writer.ts';
import { openEmptyFile } from './empty-file.ts';
import { createQcow2 } from './qemu-img.ts';
import { QemuNbdServer } from './qemu-nbd.ts';

/** A new qcow2 image, written through a qemu-nbd of its own. */
export class Qcow2ImageWriter extends DiskWriter {
  /** The requested size; the image itself is rounded up to a sector. */
  override readonly size: number;
  private readonly server: QemuNbdServer;
  private readonly disk: NbdDiskWriter;
  /** Whether nothing was written since the last flush. */
  private isFlushed = false;
  private closing: Promise<void> | undefined;

  private constructor(size: number, opened: { server: QemuNbdServer; disk: NbdDiskWriter }) {
    super();
    this.size = size;
    this.server = opened.server;
    this.disk = opened.disk;
  }

  static async create(path: string, size: number, signal: AbortSignal): Promise<Qcow2ImageWriter> {
    signal.throwIfAborted();
    const file = await openEmptyFile(path);
    await file.close();
    let server: QemuNbdServer | undefined;
    try {
      await createQcow2({ path, sizeBytes: size }, signal);
      const layers = [{ path, format: 'qcow2' }] as const;
      server = await QemuNbdServer.start({ layers, writable: true }, signal);
      const disk = await NbdDiskWriter.open({ socketPath: server.socketPath }, signal);
      return new Qcow2ImageWriter(size, { server, disk });
    } catch (error) {
      await server?.close();
      throw error;
    }
  }

  override async write(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void> {
    assertInside({ offset, length: data.length }, this.size);
    this.isFlushed = false;
    await this.disk.write(offset, data, signal);
  }

  override async zero(extent: Extent, signal: AbortSignal): Promise<void> {
    assertInside(extent, this.size);
    this.isFlushed = false;
    await this.disk.zero(extent, signal);
  }

  override async flush(signal: AbortSignal): Promise<void> {
    await this.disk.flush(signal);
    this.isFlushed = true;
  }

  override async close(): Promise<void> {
    this.closing ??= this.end();
    await this.closing;
  }

  private async end(): Promise<void> {
    await this.disk.close();
    if (this.isFlushed) {
      await this.server.close();
    } else {
      // The image was given up; the caller learns nothing from how its server ends.
      await this.server.close().catch(() => undefined);
    }
  }
}
