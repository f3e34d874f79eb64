import type { ContentExtent } from '../../../disk/extent.ts';
import type { ImageLayer } from '../../../formats/image-layer.ts';
import { QemuNbdServer } from '../../../formats/qemu-nbd.ts';
import { NbdDiskReader } from '../../../nbd/nbd-disk-reader.ts';
import type { Layer } from '../state/vm-state.ts';

/**
 * A chain of layers that nobody writes, opened for reading by a qemu-nbd of its own, without the
 * VM's QEMU. Its image locks keep merges away as long as it is open.
 */
export class FrozenChain implements AsyncDisposable {
  readonly reader: NbdDiskReader;
  private readonly server: QemuNbdServer;

  private constructor(server: QemuNbdServer, reader: NbdDiskReader) {
    this.server = server;
    this.reader = reader;
  }

  /** @param layers base first */
  static async open(layers: readonly Layer[], signal: AbortSignal): Promise<FrozenChain> {
    const [base, ...rest] = layers.map(({ path, format }): ImageLayer => ({ path, format }));
    if (base === undefined) {
      throw new RangeError('a chain has at least one layer');
    }
    const server = await QemuNbdServer.start({ layers: [base, ...rest] }, signal);
    try {
      const address = { socketPath: server.socketPath, exportName: '' };
      return new FrozenChain(server, await NbdDiskReader.open(address, signal));
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /**
   * Returns what the last layer of the chain itself holds: what was written since it was put on
   * top.
   */
  async layerExtents(signal: AbortSignal): Promise<ContentExtent[]> {
    return Array.fromAsync(this.reader.layerExtents(signal));
  }

  async close(): Promise<void> {
    try {
      await this.reader.close();
    } finally {
      await this.server.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
