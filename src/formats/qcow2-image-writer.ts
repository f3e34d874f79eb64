import { assertInside } from '../disk/bounds.ts';
import type { Extent } from '../disk/extent.ts';
import { NbdDiskWriter } from '../nbd/nbd-disk-writer.ts';
import { ImageWriter } from './image-writer.ts';
import { PartFile } from './part-file.ts';
import { createQcow2 } from './qemu-img.ts';
import { QemuNbdServer } from './qemu-nbd.ts';

/** A new qcow2 image, written through a qemu-nbd of its own. */
export class Qcow2ImageWriter extends ImageWriter {
  /** As asked for; the image itself is rounded up to a sector. */
  override readonly size: number;
  private readonly part: PartFile;
  private readonly server: QemuNbdServer;
  private readonly disk: NbdDiskWriter;
  private isOver = false;

  private constructor(
    size: number,
    opened: { part: PartFile; server: QemuNbdServer; disk: NbdDiskWriter },
  ) {
    super();
    this.size = size;
    this.part = opened.part;
    this.server = opened.server;
    this.disk = opened.disk;
  }

  static async create(path: string, size: number, signal: AbortSignal): Promise<Qcow2ImageWriter> {
    signal.throwIfAborted();
    const { part, file } = await PartFile.create(path);
    await file.close();
    let server: QemuNbdServer | undefined;
    try {
      await createQcow2({ path: part.path, sizeBytes: size }, signal);
      const layers = [{ path: part.path, format: 'qcow2' }] as const;
      server = await QemuNbdServer.start({ layers, writable: true }, signal);
      const disk = await NbdDiskWriter.open({ socketPath: server.socketPath }, signal);
      return new Qcow2ImageWriter(size, { part, server, disk });
    } catch (error) {
      await server?.close();
      await part.discard();
      throw error;
    }
  }

  override async write(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void> {
    assertInside({ offset, length: data.length }, this.size);
    await this.disk.write(offset, data, signal);
  }

  override async zero(extent: Extent, signal: AbortSignal): Promise<void> {
    assertInside(extent, this.size);
    await this.disk.zero(extent, signal);
  }

  override async flush(signal: AbortSignal): Promise<void> {
    await this.disk.flush(signal);
  }

  override async finish(signal: AbortSignal): Promise<void> {
    await this.disk.flush(signal);
    await this.disk.close();
    await this.server.close();
    await this.part.finish();
    this.isOver = true;
  }

  override async close(): Promise<void> {
    if (this.isOver) {
      return;
    }
    this.isOver = true;
    await this.disk.close();
    try {
      await this.server.close();
    } finally {
      await this.part.discard();
    }
  }
}
