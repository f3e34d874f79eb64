import { createWriteStream, existsSync, renameSync, statSync, type WriteStream } from 'node:fs';
import { once } from 'node:events';
import { PRIVATE_FILE_MODE } from '../../kernel/files/durable-file.ts';

/**
 * A log file of at most `bytesMax`, and the one before it (`.1`). What cannot be written (the disk
 * is full) is dropped: a log must not stop the program that logs.
 */
export class LimitedFile {
  private stream: WriteStream;
  private size: number;
  private readonly path: string;
  private readonly bytesMax: number;

  constructor(path: string, bytesMax: number) {
    this.path = path;
    this.bytesMax = bytesMax;
    this.size = existsSync(path) ? statSync(path).size : 0;
    this.stream = this.open();
  }

  write(piece: Buffer): void {
    if (this.size + piece.length > this.bytesMax) {
      this.stream.end();
      renameSync(this.path, `${this.path}.1`);
      this.stream = this.open();
      this.size = 0;
    }
    this.size += piece.length;
    this.stream.write(piece);
  }

  async close(): Promise<void> {
    if (!this.stream.closed) {
      this.stream.end();
      await once(this.stream, 'close');
    }
  }

  private open(): WriteStream {
    const stream = createWriteStream(this.path, { flags: 'a', mode: PRIVATE_FILE_MODE });
    stream.on('error', () => undefined);
    return stream;
  }
}
