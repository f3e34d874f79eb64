import fc from 'fast-check';
import { simpleReply, structuredReply } from '../../test/support/guest/nbd-wire.ts';
import { seededBytes } from '../../test/support/random/seeded-bytes.ts';
import { ByteFeed } from './byte-steps.ts';
import { PendingRequest } from './pending-request.ts';
import { Command } from './protocol.ts';
import { readReplies, type PendingRequests } from './replies.ts';

/** Long enough for pieces that are received in place and for some that are copied. */
const LENGTH = 96 * 1024;

/** Cuts `length` bytes into pieces of random lengths, in a random order. */
const pieces = fc
  .uniqueArray(fc.integer({ min: 1, max: LENGTH - 1 }), { maxLength: 6 })
  .map((cuts) => [0, ...cuts.sort((a, b) => a - b), LENGTH])
  .chain((borders) =>
    fc.shuffledSubarray(
      borders.slice(0, -1).map((start, index) => ({ start, end: borders[index + 1] ?? LENGTH })),
      { minLength: borders.length - 1 },
    ),
  );

/** Mixed answers to three reads and one status request, with the bytes that they carry. */
const conversation = fc
  .tuple(
    fc.array(
      fc.tuple(
        pieces,
        fc.string({ minLength: 1 }).map((seed) => seededBytes(seed, LENGTH)),
      ),
      {
        minLength: 3,
        maxLength: 3,
      },
    ),
    fc.array(fc.tuple(fc.integer({ min: 1, max: 999 }), fc.nat(3)), { minLength: 1, maxLength: 5 }),
    fc.array(fc.nat(3), { minLength: 30, maxLength: 30 }),
  )
  .map(([reads, runs, order]) => {
    const queues = reads.map(([parts, bytes], index) =>
      parts.map(({ start, end }, at) => {
        const offset = Buffer.alloc(8);
        offset.writeBigUInt64BE(BigInt(index * LENGTH + start));
        return structuredReply(
          { cookie: BigInt(index + 1), type: 1, isLast: at === parts.length - 1 },
          Buffer.concat([offset, bytes.subarray(start, end)]),
        );
      }),
    );
    const status = Buffer.alloc(4 + 8 * runs.length);
    runs.forEach(([length, flags], index) => {
      status.writeUInt32BE(length, 4 + 8 * index);
      status.writeUInt32BE(flags, 8 + 8 * index);
    });
    queues.push([structuredReply({ cookie: 4n, type: 5, isLast: true }, status)]);
    queues.push([simpleReply(5n, 0)]);
    const stream: Uint8Array[] = [];
    for (const index of [...order, 0, 1, 2, 3, 4].flatMap((queue) => [queue, queue])) {
      stream.push(...(queues[index]?.splice(0, 1) ?? []));
    }
    return {
      stream: Buffer.concat([...stream, ...queues.flat()]),
      contents: reads.map(([, bytes]) => bytes),
      runs: runs.map(([length, flags]) => ({ length, flags })),
    };
  });

describe('readReplies', () => {
  it('understands the same however the stream is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        conversation,
        fc.infiniteStream(
          fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 40, max: 200_000 })),
        ),
        async ({ stream, contents, runs }, cuts) => {
          const targets = contents.map(() => new Uint8Array(LENGTH));
          const reads = targets.map(
            (target, index) =>
              new PendingRequest({
                command: Command.read,
                offset: index * LENGTH,
                length: LENGTH,
                target,
              }),
          );
          const status = new PendingRequest({ command: Command.blockStatus, offset: 0, length: 1 });
          const flush = new PendingRequest({ command: Command.flush, offset: 0, length: 0 });
          const pending: PendingRequests = new Map(
            [...reads, status, flush].map((request, index) => [index + 1, request]),
          );
          const feed = new ByteFeed(readReplies(pending, true));

          for (let at = 0; at < stream.length;) {
            const buffer = feed.nextBuffer();
            const length = Math.min(cuts.next().value as number, buffer.length);
            const piece = stream.subarray(at, at + length);
            buffer.set(piece);
            feed.received(piece.length);
            at += piece.length;
          }

          await Promise.all([...reads, flush].map((request) => request.settled));
          targets.forEach((target, index) => {
            expect(Buffer.compare(target, contents[index] ?? Buffer.alloc(0))).toBe(0);
          });
          expect((await status.settled).get(0)).toEqual(runs);
          expect(pending.size).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });
});
