import type { Socket } from 'node:net';
import { ByteFeed, type ByteSteps } from '../byte-steps.ts';
import { carryOut } from './carry-out.ts';
import { takeRequest, type ClientRequest } from './client-request.ts';
import { shakeHands, type Agreement } from './handshake.ts';
import { offerOf, type ServedDisk } from './served-disk.ts';

export interface Serving {
  /** By name. */
  readonly disks: ReadonlyMap<string, ServedDisk>;
  /**
   * Whether clients get answers in chunks, and may ask what ranges hold. False for disks that a
   * running QEMU may stream from: if such a server goes away, QEMU takes its silence for data
   * (cor_co_preadv_part of QEMU 7.2).
   */
  readonly structured: boolean;
  /** Gets failures of disks and broken rules of clients, for the log. */
  readonly onFailure: (error: unknown) => void;
}

/** Requests beyond these wait: a client that asks for more than it takes gets no more memory. */
const RUNNING_BYTES_MAX = 64 * 1024 * 1024;
const RUNNING_MAX = 128;

interface WaitingRequest {
  readonly request: ClientRequest;
  readonly disk: ServedDisk;
  readonly agreed: Agreement;
}

/** One client. Its requests are carried out side by side, and answered in any order. */
export class ServedConnection {
  readonly closed: Promise<unknown>;
  private readonly serving: Serving;
  private readonly signal: AbortSignal;
  private readonly feed: ByteFeed;
  private readonly ending = new AbortController();
  private readonly socket: Socket;
  private readonly waiting: WaitingRequest[] = [];
  private running = 0;
  private runningBytes = 0;
  private isLeaving = false;

  /** @param signal ends what the disk is doing for the client */
  constructor(serving: Serving, socket: Socket, signal: AbortSignal) {
    this.serving = serving;
    this.signal = signal;
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.ending.abort();
    });
    this.feed = new ByteFeed(this.conversation());
    socket.on('data', (bytes: Buffer) => {
      this.receive(bytes);
    });
    socket.once('end', () => {
      this.leave();
    });
  }

  /** Takes no more requests, answers those that wait, and closes. */
  leave(): void {
    this.isLeaving = true;
    this.socket.pause();
    if (this.running === 0) {
      this.socket.destroySoon();
    }
  }

  /** Closes at once, with requests unanswered. */
  destroy(): void {
    this.socket.destroy();
  }

  private *conversation(): ByteSteps<void> {
    const { disks, structured } = this.serving;
    const exports = new Map([...disks].map(([name, disk]) => [name, offerOf(disk)]));
    const agreed = yield* shakeHands({ exports, structured }, (bytes) => this.socket.write(bytes));
    const disk = agreed && disks.get(agreed.exportName);
    while (agreed !== undefined && disk !== undefined) {
      const request = yield* takeRequest();
      if (request === undefined) {
        break;
      }
      this.waiting.push({ request, disk, agreed });
      this.begin();
    }
    this.leave();
  }

  private receive(bytes: Buffer): void {
    if (this.isLeaving) {
      return;
    }
    try {
      this.feed.push(bytes);
    } catch (error) {
      this.serving.onFailure(error);
      this.socket.destroy();
      return;
    }
    if (this.waiting.length > 0) {
      this.socket.pause();
    }
  }

  private begin(): void {
    while (this.running < RUNNING_MAX && this.runningBytes < RUNNING_BYTES_MAX) {
      const next = this.waiting.shift();
      if (next === undefined) {
        return;
      }
      void this.carryOut(next);
    }
  }

  private async carryOut({ request, disk, agreed }: WaitingRequest): Promise<void> {
    this.running += 1;
    this.runningBytes += request.length;
    const { onFailure } = this.serving;
    const signal = AbortSignal.any([this.signal, this.ending.signal]);
    await this.answer(await carryOut(request, { disk, agreed }, onFailure, signal));
    this.running -= 1;
    this.runningBytes -= request.length;
    this.begin();
    if (this.isLeaving) {
      this.leave();
    } else if (this.waiting.length === 0) {
      this.socket.resume();
    }
  }

  /** Resolves when the system has taken the answer, or the client is gone. */
  private async answer(pieces: readonly Uint8Array[]): Promise<void> {
    if (this.socket.destroyed) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.socket.cork();
    for (const [place, piece] of pieces.entries()) {
      this.socket.write(piece, () => {
        if (place === pieces.length - 1) {
          resolve(undefined);
        }
      });
    }
    this.socket.uncork();
    await promise;
  }
}
