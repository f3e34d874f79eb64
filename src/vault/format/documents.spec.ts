import fc from 'fast-check';
import { faultCode } from '../../../test/support/service/fault-code.ts';
import { seededBytes } from '../../../test/support/random/seeded-bytes.ts';
import { encodeAliases, readAliases } from '../packs/aliases.ts';
import { readHold, readHoldEnd } from '../points/holds.ts';
import { decodeControl, encodeControl } from '../control/control-object.ts';
import { decodeSlotSet } from '../points/excluded-slots.ts';
import { fittingNotes } from '../points/fitting-notes.ts';
import {
  decodeFormat,
  encodeFormat,
  NO_FEATURES,
  type VaultFormat,
} from '../control/format-object.ts';
import { decodeKeyObject, wrapWithPassphrase, wrapWithRecovery } from '../keys/key-object.ts';
import { KeyTree } from '../keys/key-tree.ts';
import * as limits from './limits.ts';
import { readKept } from '../lock/keep-log.ts';
import {
  decodeInner,
  decodeLeaf,
  encodeInner,
  encodeLeaf,
  type MapExtent,
  type NodePointer,
} from '../maps/map-node.ts';
import { HEADER_BYTES } from './pack-ends.ts';
import { encodeFooter, packTrailer, PREFIX_BYTES } from '../packs/pack-layout.ts';
import { PackNumbers } from '../packs/pack-numbers.ts';
import { openEnd, packKeys } from '../packs/pack-tail.ts';
import { FOOTER_INDEX, seal } from '../bytes/aead.ts';
import { decodePoint, encodePoint, type PointDocument } from '../points/point-object.ts';
import { parseSealBody } from '../points/point-store.ts';
import { readCapabilities } from '../probe/probe-object.ts';
import { requireReadable } from '../access/read-back-store.ts';
import { encodeRetired, readRequest, readRetired, readRetirement } from '../points/retirements.ts';
import { encodeSigned } from '../control/signed-object.ts';
import { SlotSet } from '../slots/slot-set.ts';
import { ulidText, type Ulid } from '../bytes/ulid.ts';

const keys = new KeyTree(Buffer.alloc(64, 1), Buffer.alloc(16, 2));
const context = { vaultId: keys.vaultId, chunkId: 'blake3', keyVersion: keys.version } as const;
const secrets = { keys, context };
const RAND = 'ab'.repeat(16);
const RUNS = { seed: 70_011, numRuns: 15 };

/** Text of no, one, or the most UTF-16 code units, with halves of pairs and controls among them. */
const text = (max: number): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 1, maxLength: 20 }),
      fc.constantFrom(0, 1, max),
    )
    .map(([units, length]) =>
      String.fromCharCode(...units)
        .repeat(length)
        .slice(0, length),
    );
const edge = (min: number, max: number): fc.Arbitrary<number> => fc.constantFrom(min, max);
const int = edge(0, Number.MAX_SAFE_INTEGER);
const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((b) => Buffer.from(b).toString('hex'));
const ulid: fc.Arbitrary<Ulid> = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => ulidText(bytes));
const list = <T>(item: fc.Arbitrary<T>, max: number): fc.Arbitrary<T[]> =>
  fc
    .tuple(item, fc.constantFrom(0, 1, max))
    .map(([one, count]) => Array.from({ length: count }, () => one));

const pointer = fc.record({
  pack: fc.record({ ulid, generation: edge(0, limits.GENERATION_MAX), rand: hex(16) }),
  slot: edge(0, limits.SLOTS_MAX - 1),
  mac: hex(16),
});
const name = text(limits.NAME_CHARACTERS_MAX);
const point: fc.Arbitrary<PointDocument> = fc.record({
  id: ulid,
  vmId: fc.constantFrom('0', 'v'.repeat(64)),
  vmName: name,
  takenAtMs: int,
  parent: fc.option(fc.record({ id: ulid, mac: hex(16) }), { nil: undefined }),
  consistency: fc.constantFrom('filesystem', 'crash', 'powered-off', 'imported'),
  // The most notes with the most characters exceed what a point may have: tested below.
  notes: fc.oneof(list(text(limits.NOTE_CHARACTERS_MAX), 20), list(text(10), limits.NOTES_MAX)),
  configuration: fc.json().map((json) => JSON.parse(json) as unknown),
  disks: list(
    fc.record({
      diskId: text(8),
      name: text(8),
      sizeBytes: int,
      method: fc.constantFrom('changed-extents', 'full'),
      reason: fc.constantFrom('first-backup', 'tracking-wrong', undefined),
      tracking: fc.option(fc.record({ id: text(8), generation: int }), { nil: undefined }),
      statistics: fc.record({ readBytes: int, newBytes: int, storedBytes: int }),
      depth: edge(0, limits.DEPTH_MAX),
      root: fc.option(pointer, { nil: undefined }),
    }),
    limits.POINT_DISKS_MAX,
  ),
  files: fc.oneof(
    list(fc.record({ name, sizeBytes: int, slots: fc.constant([]) }), 100),
    list(
      fc.record({
        name: text(8),
        sizeBytes: int,
        slots: list(
          fc
            .tuple(pointer, fc.constantFrom(1, Number.MAX_SAFE_INTEGER))
            .map(([at, bytes]) => ({ ...at, bytes })),
          limits.FILE_SLOTS_MAX,
        ),
      }),
      1,
    ),
  ),
  origin: fc.option(
    fc.record({
      kind: fc.constantFrom('policy', 'hand', 'safety', 'import', 'group'),
      service: text(limits.ORIGIN_CHARACTERS_MAX),
      policy: text(limits.ORIGIN_CHARACTERS_MAX),
      revision: int,
      run: text(limits.ORIGIN_CHARACTERS_MAX),
      fireAtMs: int,
      attempt: edge(1, Number.MAX_SAFE_INTEGER),
      group: text(limits.ORIGIN_CHARACTERS_MAX),
      members: list(text(limits.ORIGIN_CHARACTERS_MAX), limits.GROUP_MEMBERS_MAX),
      actor: text(limits.ORIGIN_CHARACTERS_MAX),
    }),
    { nil: undefined },
  ),
}) as fc.Arbitrary<PointDocument>;

const FORMAT: VaultFormat = {
  version: 1,
  features: NO_FEATURES,
  vaultId: keys.vaultId.toString('hex'),
  name: 'n'.repeat(limits.VAULT_NAME_CHARACTERS_MAX),
  createdAtMs: Number.MAX_SAFE_INTEGER,
  singleWriter: true,
  cipher: 'aes-256-gcm',
  compression: 'zstd',
  chunkId: 'hmac-sha256',
  dedupDomain: 'ab'.repeat(16),
  chunker: {
    minSectors: limits.CHUNK_SECTORS_MAX,
    cutBits: limits.CUT_BITS_MAX,
    maxSectors: limits.CHUNK_SECTORS_MAX,
  },
  lock: { mode: 'compliance', days: limits.LOCK_DAYS_MAX },
  keyVersion: limits.KEY_VERSIONS_MAX - 1,
  retention: {
    separate: true,
    publicKey: 'cd'.repeat(32),
    earlier: Array.from({ length: limits.KEY_VERSIONS_MAX }, () => 'ef'.repeat(32)),
    confirmed: 'c'.repeat(limits.CONFIRMED_CHARACTERS_MAX),
  },
  packBytes: limits.PACK_TARGET_BYTES_MAX,
};
const POINT: PointDocument = {
  id: ulidText(Buffer.alloc(16)),
  vmId: 'vm',
  vmName: 'vm',
  takenAtMs: 1,
  consistency: 'crash',
  notes: [],
  configuration: {},
  disks: [],
  files: [],
};
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

describe('what is written at the limits of its type is read as it was', () => {
  it('points', () => {
    fc.assert(
      fc.property(point, (document) => {
        const object = encodePoint(keys, document);
        expect(json(decodePoint(keys, document, object)).equals(json(document))).toBe(true);
        requireReadable(secrets, `s/${document.vmId}/${document.id}`, object);
      }),
      RUNS,
    );
  }, 60_000);

  it('points with any notes, which are made to fit', () => {
    const notes = fc.oneof(
      list(text(3 * limits.NOTE_CHARACTERS_MAX), limits.NOTES_MAX + 1),
      list(text(10), 2 * limits.NOTES_MAX),
      list(text(limits.NOTE_CHARACTERS_MAX), limits.NOTES_MAX),
    );
    fc.assert(
      fc.property(notes, (all) => {
        const fitting = fittingNotes(all);
        decodePoint(keys, POINT, encodePoint(keys, { ...POINT, notes: fitting }));
        expect(fitting.length).toBeGreaterThanOrEqual(Math.min(all.length, 2));
        expect(fittingNotes(fitting)).toEqual(fitting);
      }),
      RUNS,
    );
  }, 60_000);

  it('seals, retirements, requests, holds and their ends, what was kept and tried', () => {
    const long = text(limits.HOLD_REASON_CHARACTERS_MAX);
    fc.assert(
      fc.property(ulid, int, long, hex(32), (id, atMs, reason, sha256) => {
        const write = (kind: Parameters<typeof encodeControl>[1], key: string, body: object) => {
          const encode = kind === 'retire' || kind === 'hold-end' ? encodeSigned : encodeControl;
          const object = encode(keys, kind, key, json(body));
          requireReadable(secrets, key, object);
          return [key, object] as const;
        };
        const of = `vm/${id}`;
        const [key, object] = write('seal', `s/${of}.ok`, { point: id, sha256 });
        expect(parseSealBody(key, id, decodeControl(keys, 'seal', key, object))).toEqual({
          point: id,
          sha256,
        });
        const body = { point: id, atMs };
        expect(readRetirement(secrets, ...write('retire', `retire/${of}`, body))).toBe('current');
        readRequest(secrets, ...write('retire-request', `retire/${of}.ask`, body));
        const hold = `hold/${of}.${RAND}`;
        expect(readHold(secrets, ...write('hold', hold, { ...body, reason }))).toEqual({
          vmId: 'vm',
          id,
          key: hold,
          atMs,
          reason,
        });
        readHoldEnd(secrets, ...write('hold-end', `${hold}.end`, { ...body, reason: '' }));
        expect(readKept(secrets, ...write('kept', `keep/000001-${RAND}`, { doneMs: atMs }))).toBe(
          atMs,
        );
        const seen = {
          atMs,
          location: reason.slice(0, limits.PROBE_LOCATION_CHARACTERS_MAX),
          findings: {
            remove: { verdict: 'no', detail: reason.slice(0, limits.PROBE_DETAIL_CHARACTERS_MAX) },
          },
          leftovers: atMs,
        };
        expect(
          readCapabilities(secrets, ...write('probe', `probe/999999999999-${RAND}`, seen)),
        ).toEqual(seen);
      }),
      RUNS,
    );
  });

  it('the format, with everything as long as it may be', () => {
    const tree = new KeyTree(Buffer.alloc(32 * limits.KEY_VERSIONS_MAX, 3), keys.vaultId);
    const key = `fmt/000001-${RAND}`;

    expect(decodeFormat(tree, key, encodeFormat(tree, key, FORMAT))).toEqual(FORMAT);
  });

  it('key objects', async () => {
    const wrapping = {
      vaultId: keys.vaultId,
      purpose: 'vault',
      secret: seededBytes('keys', 32 * limits.KEY_VERSIONS_MAX),
      label: '\0'.repeat(limits.KEY_LABEL_CHARACTERS_MAX),
      createdAtMs: Number.MAX_SAFE_INTEGER,
    } as const;
    const key = `keys/000001-${RAND}`;
    const cost = { memoryKib: 8 * 4, passes: 1, lanes: 4 };

    const recovery = wrapWithRecovery(key, wrapping, Buffer.alloc(32));
    const passphrase = await wrapWithPassphrase(key, wrapping, 'passphrase', cost);

    for (const object of [recovery, passphrase]) {
      const { label, createdAtMs } = wrapping;
      expect(decodeKeyObject(key, object)).toMatchObject({ label, createdAtMs });
      requireReadable(secrets, key, object);
    }
  });

  it('aliases, lists of slots, and what was retired', () => {
    const last = limits.SLOTS_MAX - 1;
    const key = `alias/000001-${RAND}`;
    const alias = (from: Ulid, to: Ulid, slot: number) => ({
      from: { ulid: from, slot },
      to: { ulid: to, slot },
      count: limits.SLOTS_MAX - slot,
    });
    fc.assert(
      fc.property(ulid, ulid, edge(0, last), (a, b, slot) => {
        const aliases = [alias(a, b, slot), alias(b, a, slot)];
        const object = encodeControl(keys, 'alias', key, encodeAliases(aliases));
        expect(readAliases(secrets, key, object)).toEqual(aliases);
        const slots = new SlotSet();
        slots.add(a, [{ first: slot, count: 1 }]);
        slots.add(b, 'all');
        for (const kind of ['condemned', 'bad', 'done'] as const) {
          const name = { condemned: 'gc/000001-', bad: 'bad/000001-', done: 'gc/000001-' }[kind];
          const at = `${name}${RAND}${kind === 'done' ? '.done' : ''}`;
          const written = encodeControl(keys, kind, at, slots.encode());
          expect(decodeSlotSet(secrets, kind, at, written).encode()).toEqual(slots.encode());
          requireReadable(secrets, at, written);
        }
        const retired = `fmt/000001-${RAND}.retired`;
        const points = ['v'.repeat(64), 'constructor'].map((vmId) => ({ vmId, id: a }));
        const signed = encodeSigned(keys, 'retired-list', retired, encodeRetired(points));
        expect(readRetired(secrets, retired, signed)).toEqual(
          points.map(({ vmId, id }) => `retire/${vmId}/${id}`),
        );
        requireReadable(secrets, retired, signed);
      }),
      RUNS,
    );
    const beyond = new Array<ReturnType<typeof alias>>(limits.ALIASES_MAX + 1).fill(
      alias(POINT.id, POINT.id, last),
    );
    expect(faultCode(() => encodeAliases(beyond))).toBe('vault.limit-reached');
  }, 60_000);

  it('nodes of maps', () => {
    const numbers = new PackNumbers();
    const packs = Array.from({ length: limits.LEAF_PACKS_MAX }, (_, index) =>
      numbers.of({
        kind: 'data',
        ulid: ulidText(seededBytes(`pack ${index}`, 16)),
        generation: limits.GENERATION_MAX,
        rand: RAND,
      }),
    );
    const extents: MapExtent[] = packs.map((pack, start) => ({
      start,
      sectors: 1,
      pack,
      slot: start % 2 === 0 ? limits.SLOTS_MAX - 1 : 0,
      first: limits.CHUNK_SECTORS_MAX - 1,
    }));
    const contentMac = Buffer.alloc(16, 9);
    const leaf = encodeLeaf({ contentMac, extents }, numbers);
    expect(leaf.length).toBeLessThanOrEqual(limits.NODE_BYTES_MAX);
    expect(decodeLeaf(leaf, numbers)).toEqual({ contentMac, extents });

    const children = new Map<number, NodePointer>();
    for (let index = 0; index < limits.NODE_CHILDREN_MAX; index++) {
      const pack = numbers.of({
        kind: 'metadata',
        ulid: ulidText(seededBytes(`map ${index}`, 16)),
        generation: 0,
        rand: RAND,
      });
      children.set(index, { pack, slot: limits.SLOTS_MAX - 1, mac: Buffer.alloc(16, index) });
    }
    const inner = encodeInner(limits.DEPTH_MAX, children, numbers);
    expect(decodeInner(inner, limits.DEPTH_MAX, numbers)).toEqual(children);
  });

  it('footers and trailers', () => {
    const pack = {
      kind: 'data',
      ulid: POINT.id,
      generation: limits.GENERATION_MAX,
      rand: RAND,
    } as const;
    const made = (frames: number, slotsOfLast: number): Buffer => {
      const all = Array.from({ length: frames }, (_, index) => {
        const slots = index === 0 ? slotsOfLast : 1;
        return { sealedBytes: 20, rawBytes: slots * 4096, slots, compressed: true };
      });
      const sizes = all.flatMap(({ slots }) => Array.from({ length: slots }, () => 1));
      const offset = HEADER_BYTES + frames * (PREFIX_BYTES + 20);
      const key = packKeys(secrets, pack, keys.version);
      const sealed = seal(
        { key: key.key, index: FOOTER_INDEX, additional: key.header },
        encodeFooter({ frames: all, sizes, ids: Buffer.alloc(sizes.length * 16, 5) }),
      );
      return Buffer.concat([
        Buffer.alloc(offset),
        sealed,
        packTrailer(context, pack, { offset, sealed }),
      ]);
    };
    const object = made(limits.FRAMES_MAX, limits.DATA_FRAME_RAW_BYTES_MAX / 4096);

    const { footer } = openEnd(secrets, pack, { objectSize: object.length, tail: object });

    expect(footer.frames).toHaveLength(limits.FRAMES_MAX);
    const key = `d/197001/${POINT.id}.${limits.GENERATION_MAX}.${RAND}`;
    requireReadable(secrets, key, object);
    for (const beyond of [
      made(limits.FRAMES_MAX + 1, 1),
      made(1, limits.DATA_FRAME_RAW_BYTES_MAX / 4096 + 1),
    ]) {
      expect(
        faultCode(() => {
          requireReadable(secrets, key, beyond);
        }),
      ).toBe('vault.write-damaged');
    }
  });
});

describe('what nobody could read is refused before it is written', () => {
  it.each<[string, Partial<PointDocument>]>([
    ['a note that is too long', { notes: ['n'.repeat(limits.NOTE_CHARACTERS_MAX + 1)] }],
    ['too many notes', { notes: Array.from({ length: limits.NOTES_MAX + 1 }, () => '') }],
    ['a long name', { vmName: 'v'.repeat(limits.NAME_CHARACTERS_MAX + 1) }],
    ['no time', { takenAtMs: NaN }],
    ['another id', { vmId: 'no id' }],
    ['too much in all', { configuration: 'c'.repeat(limits.POINT_JSON_BYTES_MAX) }],
  ])('a point with %s', (_, change) => {
    expect(faultCode(() => encodePoint(keys, { ...POINT, ...change }))).toBe('request.invalid');
  });

  it.each<[string, object]>([
    ['a long name', { name: 'n'.repeat(limits.VAULT_NAME_CHARACTERS_MAX + 1) }],
    [
      'one key too many',
      {
        retention: {
          ...FORMAT.retention,
          earlier: Array.from({ length: limits.KEY_VERSIONS_MAX + 1 }, () => 'ef'.repeat(32)),
        },
      },
    ],
    ['half a day', { lock: { mode: 'governance', days: 0.5 } }],
    ['too many days', { lock: { mode: 'governance', days: limits.LOCK_DAYS_MAX + 1 } }],
    ['large packs', { packBytes: limits.PACK_TARGET_BYTES_MAX + 1 }],
    ['small packs', { packBytes: limits.PACK_TARGET_BYTES_MIN - 1 }],
  ])('a format with %s', (_, change) => {
    const tree = new KeyTree(Buffer.alloc(32 * limits.KEY_VERSIONS_MAX, 3), keys.vaultId);
    expect(
      faultCode(() => encodeFormat(tree, `fmt/000001-${RAND}`, { ...FORMAT, ...change })),
    ).toBe('request.invalid');
  });

  it('a control object that is too large', () => {
    const body = Buffer.alloc(limits.CONTROL_BODY_BYTES_MAX + 1);
    expect(faultCode(() => encodeControl(keys, 'condemned', `gc/000001-${RAND}`, body))).toBe(
      'vault.limit-reached',
    );
  });

  const id = POINT.id;
  const long = 'r'.repeat(limits.HOLD_REASON_CHARACTERS_MAX + 1);
  it.each<[string, string, Parameters<typeof encodeControl>[1], object]>([
    [
      'a hold with a long reason',
      `hold/vm/${id}.${RAND}`,
      'hold',
      { point: id, atMs: 1, reason: long },
    ],
    [
      'the end of a hold of another point',
      `hold/vm/${id}.${RAND}.end`,
      'hold-end',
      { point: 'x', atMs: 1, reason: '' },
    ],
    ['a retirement at no time', `retire/vm/${id}`, 'retire', { point: id, atMs: -1 }],
    ['a request at no time', `retire/vm/${id}.ask`, 'retire-request', { point: id, atMs: 0.5 }],
    ['a seal without a hash', `s/vm/${id}.ok`, 'seal', { point: id }],
    ['no slots', `bad/000001-${RAND}`, 'bad', {}],
    ['healed slots that are none', `bad/000001-${RAND}.${RAND}.done`, 'done', {}],
    ['condemned slots that are none', `gc/000001-${RAND}`, 'condemned', {}],
    ['aliases that are none', `alias/000001-${RAND}`, 'alias', {}],
    ['a time that was not kept', `keep/000001-${RAND}`, 'kept', { doneMs: -1 }],
    ['a trial of nothing', `probe/000001-${RAND}`, 'probe', {}],
    ['a list of nothing', `fmt/000001-${RAND}.retired`, 'retired-list', { vm: id }],
    ['a format of nothing', `fmt/000001-${RAND}`, 'format', {}],
  ])('%s', (_, key, kind, body) => {
    const isSigned = ['hold-end', 'retire', 'retired-list'].includes(kind);
    const encode = isSigned ? encodeSigned : encodeControl;
    const object = encode(keys, kind, key, json(body));

    expect(
      faultCode(() => {
        requireReadable(secrets, key, object);
      }),
    ).toBe('vault.write-damaged');
  });

  it('a byte that flipped', () => {
    const key = `s/vm/${id}`;
    const object = encodePoint(keys, POINT);
    for (let at = 0; at < object.length; at += 7) {
      const flipped = Buffer.from(object);
      flipped[at] = (flipped[at] ?? 0) ^ 4;
      expect(
        faultCode(() => {
          requireReadable(secrets, key, flipped);
        }),
      ).toBe('vault.write-damaged');
    }
  });
});
