import { readQcow2Header } from '../../src/formats/qcow2-header.ts';
import { ByteFeed, type ByteSteps } from '../../src/nbd/byte-steps.ts';
import { negotiate } from '../../src/nbd/negotiation.ts';
import { readReplies } from '../../src/nbd/replies.ts';
import { readPolicies } from '../../src/policies/document/read-policies.ts';
import { exportInfo, greeting, optionReply, structuredReply } from '../support/guest/nbd-wire.ts';
import { spoiled } from './mutation.ts';
import type { FuzzTarget } from './target.ts';

const POLICIES = [
  `policies:
  - &a
    name: a
    selector: { vms: ["db-*", mail], exclude: { tags: [x] } }
    vault: main
    schedule: { cron: "*/15 2-4 * * 1,3", zone: Europe/Berlin, window: { from: "22:00", to: "06:00" } }
    guestCommands: { before: [["/bin/sh", "-c", "sync"]], timeLimit: 10s }
    retention: { daily: 7, minimumAge: 1d }
  - *a
`,
  '%YAML 1.2\n---\nname: b\nselector: {all: true}\nvault: |\n  main\nschedule:\n  ? every\n  : 1h\n...\n',
];

/** Parsers of images, of servers' answers and of policies. */
export function otherTargets(): FuzzTarget[] {
  const handshake = Buffer.concat([
    greeting(),
    optionReply(8, 1),
    optionReply(10, 4, Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from('base:allocation')])),
    optionReply(10, 1),
    exportInfo(1 << 20),
    optionReply(7, 1),
  ]);
  const replies = Buffer.concat([
    structuredReply({ cookie: 1n, type: 0, isLast: true }),
    structuredReply({ cookie: 2n, type: 1, isLast: true }, Buffer.alloc(100)),
    structuredReply(
      { cookie: 3n, type: 32769, isLast: true },
      Buffer.from([0, 0, 0, 5, 0, 3, 97, 98, 99]),
    ),
  ]);
  return [
    {
      name: 'qcow2 header',
      inputs: spoiled([qcow2Header(3), qcow2Header(2)]),
      parse: (b) => readQcow2Header(b, 'x'),
    },
    {
      name: 'policies',
      inputs: spoiled(POLICIES.map((text) => Buffer.from(text))),
      parse: (bytes) => readPolicies(Buffer.from(bytes).toString(), 'x'),
      // The tree of a library and ours.
      allocationMax: 64 * 1024 * 1024,
    },
    {
      name: 'NBD handshake',
      inputs: spoiled([handshake]),
      parse: (bytes) => {
        feed(steps(), bytes);
      },
    },
    // Nothing is pending, so every answer is one too many; its head is parsed first.
    {
      name: 'NBD replies',
      inputs: spoiled([replies]),
      parse: (bytes) => {
        feed(readReplies(new Map(), true), bytes);
      },
    },
  ];
}

function* steps(): ByteSteps<void> {
  yield* negotiate({ exportName: '', contexts: ['base:allocation'] }, () => undefined);
}

function feed(reader: ByteSteps<void>, bytes: Uint8Array): void {
  const stream = new ByteFeed(reader);
  for (let at = 0; at < bytes.length;) {
    const room = stream.nextBuffer();
    const piece = bytes.subarray(at, at + room.length);
    room.set(piece);
    stream.received(piece.length);
    at += piece.length;
  }
}

/** The smallest header of an empty image, after docs/interop/qcow2 of QEMU. */
function qcow2Header(version: 2 | 3): Buffer {
  const header = Buffer.alloc(4096);
  header.writeUInt32BE(0x514649fb, 0);
  header.writeUInt32BE(version, 4);
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(1n << 30n, 24);
  header.writeUInt32BE(2, 36);
  header.writeBigUInt64BE(0x30000n, 40);
  header.writeBigUInt64BE(0x10000n, 48);
  header.writeUInt32BE(1, 56);
  if (version === 3) {
    header.writeUInt32BE(4, 96);
    header.writeUInt32BE(104, 100);
  }
  return header;
}
