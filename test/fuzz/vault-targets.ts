import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import { seal } from '../../src/vault/bytes/aead.ts';
import { decodeAliases, encodeAliases } from '../../src/vault/packs/aliases.ts';
import { ByteWriter, Malformed } from '../../src/vault/bytes/binary.ts';
import { parsePrices, DEFAULT_PRICES } from '../../src/vault/budget/prices.ts';
import { decodeControl, encodeControl } from '../../src/vault/control/control-object.ts';
import { packDamage } from '../../src/vault/copy/keyless-pack-check.ts';
import { decodeFormat } from '../../src/vault/control/format-object.ts';
import { frameBytes, openFrame, packFrame, sealFrame } from '../../src/vault/packs/frame.ts';
import { decodeKeyObject } from '../../src/vault/keys/key-object.ts';
import {
  numberOf,
  packKey,
  packPrefix,
  parsePackKey,
  parsePointKey,
  parseRetireKey,
  pointKey,
} from '../../src/vault/format/object-names.ts';
import { decodeInner, decodeLeaf, encodeInner, encodeLeaf } from '../../src/vault/maps/map-node.ts';
import { isObjectKey } from '../../src/vault/object-stores/object-key.ts';
import { parseLocation } from '../../src/vault/object-stores/location.ts';
import { decodeFooter, encodeFooter, parseTrailer } from '../../src/vault/packs/pack-layout.ts';
import { PackNumbers } from '../../src/vault/packs/pack-numbers.ts';
import { decodePoint } from '../../src/vault/points/point-object.ts';
import { parseSealBody } from '../../src/vault/points/point-store.ts';
import { newRecoveryFile, parseRecoveryFile } from '../../src/vault/keys/recovery-file.ts';
import { SlotSet } from '../../src/vault/slots/slot-set.ts';
import { decodeSigned } from '../../src/vault/control/signed-object.ts';
import { isUlid, newUlid, ulidBytes, ulidText, ulidTimeMs } from '../../src/vault/bytes/ulid.ts';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { seededBytes } from '../support/random/seeded-bytes.ts';
import { backUp, createVault, signal } from '../support/vault/vault-lab.ts';
import { spoiled, spoiledJson } from './mutation.ts';
import type { FuzzTarget } from './target.ts';

/** A small vault, and everything that it consists of as examples. */
async function goldenVault() {
  const store = new MemoryObjectStore();
  const { vault, recoveryFile } = await createVault(store);
  const disk = new MemoryDisk(400_000);
  disk.write(0, Buffer.concat([seededBytes('a', 120_000), Buffer.alloc(80_000, 7)]));
  const { id, vmId } = await backUp(vault, disk);
  const { base, points } = vault.inside;
  const { document } = await points.load({ id, vmId }, signal);
  const objects = new Map<string, Uint8Array>();
  for await (const { key } of store.list('', signal)) {
    objects.set(key, (await store.get(key, signal)) ?? new Uint8Array());
  }
  const find = (prefix: string): { key: string; object: Uint8Array } => {
    const [key, object] = [...objects].find(([name]) => name.startsWith(prefix)) ?? [
      '',
      new Uint8Array(),
    ];
    return { key, object };
  };
  return { base, recoveryFile, document, objects, find };
}

type Golden = Awaited<ReturnType<typeof goldenVault>>;

export async function vaultTargets(): Promise<FuzzTarget[]> {
  const golden = await goldenVault();
  return [
    ...packTargets(golden),
    ...frameTargets(),
    ...mapTargets(),
    ...controlTargets(golden),
    ...keyTargets(golden),
    ...textTargets(golden),
  ];
}

/** Corrects checksums after the mutation, to get past what would stop a flipped bit. */
function withChecksum(bytes: Uint8Array, from: number, to: number): Buffer {
  const fixed = Buffer.from(bytes);
  if (from >= 0 && fixed.length >= to + 4) {
    fixed.writeUInt32LE(crc32(fixed.subarray(from, to)), to);
  }
  return fixed;
}

function packTargets({ base, find }: Golden): FuzzTarget[] {
  const { key, object } = find('d/');
  const name = parsePackKey(key);
  if (name === undefined) {
    throw new Error('the golden vault has no pack');
  }
  const footer = (missing: number): Uint8Array =>
    encodeFooter({
      frames: [
        { sealedBytes: 5000, rawBytes: 4096 * 3, slots: 2, compressed: true },
        { sealedBytes: 4112, rawBytes: 4096, slots: 1, compressed: false },
      ],
      sizes: [2, 1, missing === 2 ? 0 : 1],
      ids: seededBytes('ids', 48),
    });
  // As many frames and slots as the fields can say, in 20 KiB.
  const bomb = new ByteWriter().u8(0).varint(4096);
  for (let frame = 0; frame < 4096; frame++) {
    bomb.varint(0).varint(0).varint(131_071);
  }
  const footers = [footer(0), footer(2), footer(1), bomb.finish()];
  return [
    {
      name: 'pack, whole, without a key',
      inputs: spoiled([object, object.subarray(0, 300)]).map((bytes) =>
        withChecksum(withChecksum(bytes, 0, 60), bytes.length - 64, bytes.length - 4),
      ),
      parse: (bytes) => {
        const damage = packDamage(key, bytes);
        if (damage !== undefined) {
          throw new Malformed(damage);
        }
      },
    },
    {
      name: 'pack trailer',
      inputs: fc
        .tuple(
          spoiled([object.subarray(-64)]),
          fc.constantFrom(0, 64, object.length, 2 ** 28, 2 ** 40),
        )
        .map(([bytes, size]) =>
          Buffer.concat([withChecksum(bytes, 0, 60), Buffer.from([size & 255])]),
        ),
      parse: (bytes) => parseTrailer(base.context, name, bytes.subarray(0, -1), object.length),
    },
    ...(['data', 'metadata'] as const).map((kind) => ({
      name: `pack footer, ${kind}`,
      inputs: spoiled(footers),
      parse: (bytes: Uint8Array) => decodeFooter(kind, bytes, 64 + 24 + 9112),
    })),
  ];
}

function frameTargets(): FuzzTarget[] {
  const keys = { key: seededBytes('key', 32), header: seededBytes('header', 64) };
  const bodies = [
    packFrame(Buffer.alloc(300_000, 'content '), 1).body,
    packFrame(seededBytes('noise', 20_000), 1).body,
    Buffer.from(packFrame(Buffer.alloc(524_288), 1).body),
  ];
  const sealed = (body: Uint8Array): Buffer => {
    const target = Buffer.alloc(frameBytes(body.length));
    sealFrame(keys, 0, body, target);
    return target;
  };
  const open = (rawBytes: number, compressed: boolean) => (frame: Uint8Array) =>
    openFrame(keys, { index: 0, rawBytes, compressed }, frame);
  return [
    { name: 'frame, sealed', inputs: spoiled(bodies.map(sealed)), parse: open(300_000, true) },
    {
      name: 'frame, compressed content',
      inputs: spoiled(bodies).map(sealed),
      parse: open(300_000, true),
    },
    { name: 'frame, raw content', inputs: spoiled(bodies).map(sealed), parse: open(20_000, false) },
  ];
}

function mapTargets(): FuzzTarget[] {
  // Numbers of packs are never forgotten, as in a process; a hostile vault ends at a limit.
  let numbers = new PackNumbers();
  const examples = new PackNumbers();
  const pack = (kind: 'data' | 'metadata', n: number): number =>
    examples.of({ kind, ulid: newUlid(1000 + n), generation: n, rand: '0'.repeat(31) + String(n) });
  const [d1, d2, m1] = [pack('data', 1), pack('data', 2), pack('metadata', 3)];
  const leaf = encodeLeaf(
    {
      contentMac: Buffer.alloc(16),
      extents: [
        { start: 0, sectors: 10, pack: d1, slot: 0, first: 0 },
        { start: 12, sectors: 100, pack: d2, slot: 7, first: 2 },
        { start: 200, sectors: 16_000, pack: d1, slot: 3, first: 0 },
      ],
    },
    examples,
  );
  const inner = encodeInner(
    1,
    new Map(
      [0, 3, 255].map((index) => [index, { pack: m1, slot: index, mac: Buffer.alloc(16, index) }]),
    ),
    examples,
  );
  const fresh = (): PackNumbers => {
    numbers = numbers.find('') === undefined && calls++ % 5000 === 0 ? new PackNumbers() : numbers;
    return numbers;
  };
  let calls = 0;
  // A new table of packs is 4 MiB.
  const allocationMax = 12 * 1024 * 1024;
  return [
    {
      name: 'map leaf',
      inputs: spoiled([leaf]),
      parse: (b) => decodeLeaf(b, fresh()),
      allocationMax,
    },
    {
      name: 'map inner node',
      inputs: spoiled([inner]),
      parse: (b) => decodeInner(b, 1, fresh()),
      allocationMax,
    },
  ];
}

function controlTargets({ base, find, document, objects }: Golden): FuzzTarget[] {
  const { keys } = base;
  const seal = [...objects].find(([key]) => key.endsWith('.ok'));
  const slots = new SlotSet();
  slots.add(newUlid(1), 'all');
  slots.add(newUlid(2), [
    { first: 3, count: 4 },
    { first: 100, count: 65_000 },
  ]);
  const [from, to] = [newUlid(3), newUlid(4)];
  const aliases = encodeAliases([
    { from: { ulid: from, slot: 0 }, to: { ulid: to, slot: 9 }, count: 5 },
  ]);
  const { key: formatKey, object: format } = find('fmt/');
  const formatJson: unknown = JSON.parse(Buffer.from(format.subarray(36, -32)).toString());
  const at = { vmId: document.vmId, id: document.id };
  const key = pointKey(at.vmId, at.id);
  const point = objects.get(key) ?? new Uint8Array();
  const header = point.subarray(0, 64);
  const sealedPoint = (json: Uint8Array): Buffer =>
    Buffer.concat([header, sealAt(keys.object('point', key), header, json)]);
  return [
    {
      name: 'control object',
      inputs: spoiled([seal?.[1] ?? format]),
      parse: (b) => decodeControl(keys, 'seal', seal?.[0] ?? '', b),
    },
    {
      name: 'signed object',
      inputs: spoiled([encodeControl(keys, 'retire', 'retire/x', Buffer.alloc(100))]),
      parse: (b) => decodeSigned(keys, 'retire', 'retire/x', b),
    },
    {
      name: 'set of slots (gc/, bad/)',
      inputs: spoiled([slots.encode()]),
      parse: (b) => SlotSet.decode(b),
    },
    { name: 'aliases', inputs: spoiled([aliases]), parse: decodeAliases },
    {
      name: 'format object',
      inputs: spoiled([format]),
      parse: (b) => decodeFormat(keys, formatKey, b),
    },
    {
      name: 'format object, genuine with other content',
      inputs: spoiledJson(formatJson).map((json) => encodeControl(keys, 'format', formatKey, json)),
      parse: (b) => decodeFormat(keys, formatKey, b),
    },
    {
      name: 'seal, genuine with other content',
      inputs: spoiledJson({ point: at.id, sha256: '0'.repeat(64) }),
      parse: (b) => parseSealBody(key, at.id, b),
    },
    {
      name: 'recovery point',
      inputs: spoiled([point]).map((b) => withChecksum(b, 0, 60)),
      parse: (b) => decodePoint(keys, at, b),
    },
    {
      name: 'recovery point, genuine with other content',
      inputs: spoiledJson(document).map(sealedPoint),
      parse: (b) => decodePoint(keys, at, b),
    },
  ];
}

function sealAt(key: Uint8Array, additional: Uint8Array, plain: Uint8Array): Buffer {
  return seal({ key, index: 0, additional }, plain);
}

function keyTargets({ find, objects, recoveryFile }: Golden): FuzzTarget[] {
  const { key, object } = find('keys/');
  const all = [...objects].filter(([name]) => name.startsWith('keys/')).map(([, bytes]) => bytes);
  const json = object.subarray(12, -32);
  const wrapped = (text: Uint8Array): Buffer => {
    const head = new ByteWriter()
      .bytes(Buffer.from('HKKEYS00'))
      .u32(text.length)
      .bytes(text)
      .finish();
    return Buffer.concat([head, createHash('sha256').update(head).digest()]);
  };
  return [
    { name: 'key object', inputs: spoiled(all), parse: (b) => decodeKeyObject(key, b) },
    {
      name: 'key object with other content',
      inputs: spoiledJson(JSON.parse(Buffer.from(json).toString())).map(wrapped),
      parse: (b) => decodeKeyObject(key, b),
    },
    {
      name: 'recovery file',
      inputs: spoiled(
        [recoveryFile, newRecoveryFile('00', 'x').content].map((text) => Buffer.from(text)),
      ),
      parse: (b) => parseRecoveryFile(Buffer.from(b).toString()),
    },
  ];
}

function textTargets({ objects }: Golden): FuzzTarget[] {
  const names = [...objects.keys()].map((key) => Buffer.from(key));
  const ulid = newUlid(12345);
  return [
    {
      name: 'names of objects',
      inputs: spoiled(names),
      parse: (bytes) => {
        const key = Buffer.from(bytes).toString('latin1');
        const pack = parsePackKey(key);
        const point = parsePointKey(key);
        if (pack !== undefined && (packKey(pack) !== key || !key.startsWith(packPrefix(pack)))) {
          throw new Error('a name that does not lead back');
        }
        if ((pack ?? point ?? parseRetireKey(key)) !== undefined && !isObjectKey(key)) {
          throw new Error('a name that no store may use');
        }
        if ((pack ?? point ?? parseRetireKey(key) ?? numberOf(key)) === undefined) {
          throw new Malformed('it is no name');
        }
      },
    },
    {
      name: 'ULID',
      inputs: spoiled([Buffer.from(ulid)]),
      parse: (bytes) => {
        const text = Buffer.from(bytes).toString('latin1');
        if (!isUlid(text)) {
          throw new Malformed('it is none');
        }
        if (ulidText(ulidBytes(text)) !== text || ulidTimeMs(text) < 0) {
          throw new Error('a ULID that does not lead back');
        }
      },
    },
    {
      name: 'location',
      inputs: spoiled(
        ['s3://bucket/a/b', '/srv/vault', 'https://user:pass@host/'].map((t) => Buffer.from(t)),
      ),
      parse: (bytes) => parseLocation(Buffer.from(bytes).toString()),
    },
    {
      name: 'price table',
      inputs: spoiledJson(DEFAULT_PRICES),
      parse: (bytes) => parsePrices(Buffer.from(bytes).toString(), 'x'),
    },
  ];
}
