import { createHash } from 'node:crypto';
import { encodeAliases } from '../../src/vault/packs/aliases.ts';
import { SECTOR_BYTES } from '../../src/vault/chunks/chunk-cut.ts';
import { chunkIdFunction } from '../../src/vault/chunks/chunk-id.ts';
import { encodeControl, type ControlKind } from '../../src/vault/control/control-object.ts';
import {
  encodeFormat,
  NO_FEATURES,
  type VaultFormat,
} from '../../src/vault/control/format-object.ts';
import { wrapWithRecovery } from '../../src/vault/keys/key-object.ts';
import { KeyTree } from '../../src/vault/keys/key-tree.ts';
import {
  packKey,
  pointKey,
  retireKey,
  sealKey,
  type PackName,
} from '../../src/vault/format/object-names.ts';
import { contentMac } from '../../src/vault/maps/leaf-fragments.ts';
import { encodeInner, encodeLeaf } from '../../src/vault/maps/map-node.ts';
import { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import { encodeFooter } from '../../src/vault/packs/pack-layout.ts';
import { PackNumbers } from '../../src/vault/packs/pack-numbers.ts';
import { packKeys } from '../../src/vault/packs/pack-tail.ts';
import { packEnd, sealVerified } from '../../src/vault/packs/pack-writing.ts';
import { encodePoint, type PointDocument } from '../../src/vault/points/point-object.ts';
import { encodeRetired } from '../../src/vault/points/retirements.ts';
import { encodeSigned } from '../../src/vault/control/signed-object.ts';
import { encodeRecord, type ServiceRecord } from '../../src/vault/records/record-object.ts';
import { SlotSet } from '../../src/vault/slots/slot-set.ts';
import { ulidText, type Ulid } from '../../src/vault/bytes/ulid.ts';

/*
 * The vault of the examples in docs/vault-format.md: its keys, times and what is random otherwise
 * are fixed. Nothing is compressed, so that no version of zstd changes it.
 */

export const MASTER_KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
export const RECOVERY_SECRET = Buffer.from(Array.from({ length: 32 }, (_, index) => 0x40 + index));
const VAULT_ID = Buffer.from(Array.from({ length: 16 }, (_, index) => 0xa0 + index));
export const keys = new KeyTree(MASTER_KEY, VAULT_ID);
export const DOMAIN = 'd0'.repeat(16);
export const secrets = {
  keys,
  context: { vaultId: VAULT_ID, chunkId: 'hmac-sha256', keyVersion: 0 },
} as const;
const T0 = Date.UTC(2026, 10, 22, 12);
export const VM = '5a7c';

/** 16 bytes that stand for random ones. */
function fixed(word: string): Buffer {
  return createHash('sha256').update(word).digest().subarray(0, 16);
}

function rand(word: string): string {
  return fixed(word).toString('hex');
}

function ulid(seconds: number): Ulid {
  const bytes = fixed(`ulid ${String(seconds)}`);
  bytes.writeUIntBE(T0 + seconds * 1000, 0, 6);
  return ulidText(bytes);
}

export interface Example {
  readonly key: string;
  readonly object: Buffer;
}

function numbered(prefix: string, end = ''): string {
  return `${prefix}/000001-${rand(prefix)}${end}`;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function control(kind: ControlKind, key: string, body: Uint8Array): Example {
  return { key, object: encodeControl(keys, kind, key, body) };
}

function signed(kind: ControlKind, key: string, body: Uint8Array): Example {
  return { key, object: encodeSigned(keys, kind, key, body) };
}

const FORMAT: VaultFormat = {
  version: 1,
  features: NO_FEATURES,
  vaultId: VAULT_ID.toString('hex'),
  name: 'main',
  createdAtMs: T0,
  singleWriter: false,
  cipher: 'aes-256-gcm',
  compression: 'zstd',
  chunkId: 'hmac-sha256',
  dedupDomain: DOMAIN,
  chunker: { minSectors: 2, cutBits: 3, maxSectors: 32 },
  keyVersion: 0,
  retention: {
    separate: false,
    publicKey: keys.retention.publicKey.toString('hex'),
    earlier: [],
  },
  packBytes: 64 * 1024 * 1024,
};

export function keyObject(): Example {
  const key = numbered('keys');
  const wrapping = {
    vaultId: VAULT_ID,
    purpose: 'vault',
    secret: MASTER_KEY,
    label: 'recovery file',
    createdAtMs: T0,
  } as const;
  return { key, object: wrapWithRecovery(key, wrapping, RECOVERY_SECRET, fixed('salt')) };
}

export function format(): Example {
  const key = numbered('fmt');
  return { key, object: encodeFormat(keys, key, FORMAT) };
}

const numbers = new PackNumbers();
const DATA: PackName = { kind: 'data', ulid: ulid(1), generation: 0, rand: rand('data') };
const METADATA: PackName = { kind: 'metadata', ulid: ulid(2), generation: 0, rand: rand('meta') };

/** Two slots of the data pack: one sector of 0x41, two of 0x42. */
const CHUNKS = [Buffer.alloc(SECTOR_BYTES, 0x41), Buffer.alloc(2 * SECTOR_BYTES, 0x42)];
const IDS = CHUNKS.map(chunkIdFunction('hmac-sha256', keys.chunkId(DOMAIN)));

/** The plaintext of the footer of a data pack with these two slots in one frame, stored raw. */
export function dataFooter(): Buffer {
  const rawBytes = 3 * SECTOR_BYTES;
  return encodeFooter({
    frames: [{ sealedBytes: rawBytes + 16, rawBytes, slots: 2, compressed: false }],
    sizes: CHUNKS.map(({ length }) => length / SECTOR_BYTES),
    ids: Buffer.concat(IDS),
  });
}

/** Sectors 0 to 2 are both slots; sector 8 is the second sector of the second slot. */
export function leaf(): Buffer {
  const pack = numbers.of(DATA);
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = IDS;
  const fragments = [
    { start: 0, sectors: 1, slot: 0, first: 0, slotSectors: 1, id: first },
    { start: 1, sectors: 2, slot: 1, first: 0, slotSectors: 2, id: second },
    { start: 8, sectors: 1, slot: 1, first: 1, slotSectors: 2, id: second },
  ].map((fragment) => ({ ...fragment, pack }));
  const extents = [
    { start: 0, sectors: 3, pack, slot: 0, first: 0 },
    { start: 8, sectors: 1, pack, slot: 1, first: 1 },
  ];
  return encodeLeaf({ contentMac: contentMac(keys.purpose('map'), fragments), extents }, numbers);
}

/** The root of a disk of 100 MiB: the leaf is its first child, the second half is zeroes. */
export function inner(): Buffer {
  const child = { pack: numbers.of(METADATA), slot: 0, mac: keys.mac16('map', leaf()) };
  return encodeInner(1, new Map([[0, child]]), numbers);
}

/** Holds the two nodes. */
export function metadataPack(): Example & { readonly frame: Buffer; readonly footer: Buffer } {
  const nodes = [leaf(), inner()];
  const raw = Buffer.concat(nodes);
  const frameKeys = packKeys(secrets, METADATA, 0);
  const { bytes, entry } = sealVerified(frameKeys, 0, { raw, body: raw, compressed: false });
  const content = {
    frames: [{ ...entry, slots: nodes.length }],
    sizes: nodes.map(({ length }) => length),
    ids: Buffer.concat(nodes.map((node) => keys.mac16('map', node))),
  };
  const base = { ...secrets, numbers, store: new MemoryObjectStore() };
  const start = Buffer.concat([frameKeys.header, bytes]);
  const place = { name: METADATA, keys: frameKeys, offset: start.length };
  const object = Buffer.concat([start, packEnd(base, place, content)]);
  return { key: packKey(METADATA), object, frame: raw, footer: encodeFooter(content) };
}

export const POINT = ulid(3);
const PARENT = ulid(0);

export const DOCUMENT: PointDocument = {
  id: POINT,
  vmId: VM,
  vmName: 'shop',
  takenAtMs: T0 + 3000,
  parent: { id: PARENT, mac: rand('parent') },
  consistency: 'filesystem',
  notes: [],
  configuration: { memoryMiB: 2048 },
  disks: [
    {
      diskId: '01',
      name: 'system',
      sizeBytes: 100 * 1024 * 1024,
      method: 'changed-extents',
      tracking: { id: '02', generation: 7 },
      statistics: { readBytes: 16384, newBytes: 12288, storedBytes: 12316 },
      depth: 1,
      root: {
        pack: { ulid: METADATA.ulid, generation: METADATA.generation, rand: METADATA.rand },
        slot: 1,
        mac: keys.mac16('map', inner()).toString('hex'),
      },
    },
  ],
  files: [],
};

export function point(): Example {
  return { key: pointKey(VM, POINT), object: encodePoint(keys, DOCUMENT) };
}

export function seal(): Example {
  const sha256 = createHash('sha256').update(point().object).digest('hex');
  return control('seal', sealKey(VM, POINT), json({ point: POINT, sha256 }));
}

export function retire(): Example {
  return signed('retire', retireKey(VM, PARENT), json({ point: PARENT, atMs: T0 + 60_000 }));
}

export function retireRequest(): Example {
  const key = `${retireKey(VM, POINT)}.ask`;
  return control('retire-request', key, json({ point: POINT, atMs: T0 + 60_000 }));
}

export function retiredList(): Example {
  return signed(
    'retired-list',
    numbered('fmt', '.retired'),
    encodeRetired([{ vmId: VM, id: PARENT }]),
  );
}

/** Slots 4 to 6 of the data pack are slots 0 to 2 of another one. */
export function alias(): Example {
  const to = { ulid: ulid(4), slot: 0 };
  const body = encodeAliases([{ from: { ulid: DATA.ulid, slot: 4 }, to, count: 3 }]);
  return control('alias', numbered('alias'), body);
}

const HOLD = `hold/${VM}/${POINT}.${rand('hold')}`;

export function hold(): Example {
  return control('hold', HOLD, json({ point: POINT, atMs: T0 + 60_000, reason: 'audit' }));
}

export function holdEnd(): Example {
  return signed('hold-end', `${HOLD}.end`, json({ point: POINT, atMs: T0 + 90_000, reason: '' }));
}

/** Slots 1, 2 and 5 of one pack, and all of another. */
function slots(): SlotSet {
  const set = new SlotSet();
  set.add(DATA.ulid, [
    { first: 1, count: 2 },
    { first: 5, count: 1 },
  ]);
  set.add(ulid(4), 'all');
  return set;
}

export function condemned(): Example {
  return control('condemned', numbered('gc'), slots().encode());
}

/** Of a condemned object: empty. */
export function done(): Example {
  return control('done', numbered('gc', '.done'), new SlotSet().encode());
}

export function bad(): Example {
  const set = new SlotSet();
  set.add(DATA.ulid, [{ first: 3, count: 1 }]);
  return control('bad', numbered('bad'), set.encode());
}

export function kept(): Example {
  return control('kept', numbered('keep'), json({ doneMs: T0 }));
}

export function probe(): Example {
  const findings = { 'put-get': { verdict: 'yes' }, versions: { verdict: 'no', detail: 'off' } };
  const body = { atMs: T0, location: 's3://bucket/main', findings, leftovers: 0 };
  return control('probe', numbered('probe'), json(body));
}

const SERVICE = '0b8f6a54-6c1e-4d8e-9f2b-1c2d3e4f5a6b';

export const RECORD: ServiceRecord = {
  kind: 'decisions',
  service: SERVICE,
  sequence: 7,
  atMs: T0 + 60_000,
  decisions: [
    {
      vm: VM,
      point: POINT,
      reason: 'no rule keeps it',
      policy: 'gold',
      revision: 3,
      decidedAtMs: T0 + 59_000,
    },
  ],
};

/** Of docs/service-records.md. */
export function record(): Example {
  const key = `cat/${SERVICE}/000007-${rand('cat')}`;
  return { key, object: encodeRecord(keys, key, RECORD) };
}
