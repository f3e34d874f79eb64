import { DiskReader } from '../disk/disk-reader.ts';
import type { ContentExtent, Extent } from '../disk/extent.ts';
import { NbdDiskReader } from '../nbd/nbd-disk-reader.ts';
import type { ImageLayer } from './image-layer.ts';
import { QemuNbdServer } from './qemu-nbd.ts';

/** Reads layers of images as one disk, through a qemu-nbd of its own. */
export class ChainReader extends DiskReader {
  override readonly size: number;
  private readonly disk: NbdDiskReader;
  private readonly server: QemuNbdServer;

  private constructor(disk: NbdDiskReader, server: QemuNbdServer) {
    super();
    this.disk = disk;
    this.size = disk.size;
    this.server = server;
  }

  /** Opens layers, base first, which must have been inspected. */
  static async open(
    layers: readonly [ImageLayer, ...ImageLayer[]],
    signal: AbortSignal,
  ): Promise<ChainReader> {
    const server = await QemuNbdServer.start({ layers }, signal);
    try {
      const disk = await NbdDiskReader.open({ socketPath: server.socketPath }, signal);
      return new ChainReader(disk, server);
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  override async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.disk.read(offset, target, signal);
  }

  override extents(signal: AbortSignal, within?: Extent): AsyncIterable<ContentExtent> {
    return this.disk.extents(signal, within);
  }

  /** Yields what was written or zeroed in the last layer; elsewhere the layers below count. */
  layerExtents(signal: AbortSignal, within?: Extent): AsyncIterable<ContentExtent> {
    return this.disk.layerExtents(signal, within);
  }

  override async close(): Promise<void> {
    await this.disk.close();
    await this.server.close();
  }
}
