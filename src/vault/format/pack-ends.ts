import { crc32 } from 'node:zlib';
import { ByteReader, ByteWriter, demand } from '../bytes/binary.ts';
import { ulidBytes, ulidText, type Ulid } from '../bytes/ulid.ts';
import type { PackName } from './object-names.ts';

/**
 * The first and the last 64 bytes of a pack, which can be read without a key: docs/vault-format.md,
 * section 6.
 */

export const HEADER_BYTES = 64;
export const TRAILER_BYTES = 64;

const END_BYTES = 64;
const CHECKSUM_OFFSET = 60;
const MAGIC = { header: Buffer.from('HKPACK00'), trailer: Buffer.from('HKPEND00') };

/** What header and trailer both say. */
export interface PackEndFields {
  /** Version of the format, kind, cipher, compression, chunk id algorithm: six bytes. */
  readonly algorithms: Uint8Array;
  readonly keyVersion: number;
  readonly ulid: Ulid;
  readonly generation: number;
}

export interface HeaderFields extends PackEndFields {
  readonly vaultId: Uint8Array;
}

export interface TrailerFields extends PackEndFields {
  readonly footer: FooterPlace;
}

export interface FooterPlace {
  readonly offset: number;
  /** Of the ciphertext with its tag. */
  readonly length: number;
  readonly crc: number;
}

export function encodeHeader(fields: HeaderFields): Buffer {
  return encodeEnd('header', fields, fields.vaultId);
}

/** @throws Malformed */
export function decodeHeader(bytes: Uint8Array): HeaderFields {
  const { fields, own } = decodeEnd('header', bytes);
  return { ...fields, vaultId: own };
}

export function encodeTrailer(fields: TrailerFields): Buffer {
  const { offset, length, crc } = fields.footer;
  const own = new ByteWriter(16).u32(offset).u32(0).u32(length).u32(crc);
  return encodeEnd('trailer', fields, own.finish());
}

/**
 * @param objectSize of the whole pack
 * @throws Malformed
 */
export function decodeTrailer(bytes: Uint8Array, objectSize: number): TrailerFields {
  const { fields, own } = decodeEnd('trailer', bytes);
  const reader = new ByteReader(own);
  const offset = reader.u32();
  demand(reader.u32() === 0, 'the footer is too far');
  const footer = { offset, length: reader.u32(), crc: reader.u32() };
  demand(
    offset >= HEADER_BYTES && offset + footer.length + TRAILER_BYTES === objectSize,
    'the footer does not lie before the trailer',
  );
  return { ...fields, footer };
}

/** @throws Malformed unless header and trailer are of one pack */
export function requireSame(header: HeaderFields, trailer: TrailerFields): void {
  demand(
    Buffer.compare(header.algorithms, trailer.algorithms) === 0 &&
      header.keyVersion === trailer.keyVersion,
    'header and trailer differ',
  );
}

/** @throws Malformed unless the header or trailer is of this pack */
export function requireOf(
  name: PackName,
  part: keyof typeof MAGIC,
  { ulid, generation }: PackEndFields,
): void {
  demand(ulid === name.ulid, `the ${part} is of another pack`);
  demand(generation === name.generation, `the ${part} is of another generation`);
}

function encodeEnd(
  part: keyof typeof MAGIC,
  { algorithms, keyVersion, ulid, generation }: PackEndFields,
  own: Uint8Array,
): Buffer {
  const writer = new ByteWriter(END_BYTES)
    .bytes(MAGIC[part])
    .bytes(algorithms)
    .u16(keyVersion)
    .bytes(own)
    .bytes(ulidBytes(ulid))
    .u32(generation)
    .bytes(Buffer.alloc(8));
  return writer.u32(crc32(writer.finish())).finish();
}

/** @returns what both ends say, and the 16 bytes that only this one has */
function decodeEnd(
  part: keyof typeof MAGIC,
  bytes: Uint8Array,
): { readonly fields: PackEndFields; readonly own: Uint8Array } {
  demand(bytes.length === END_BYTES, `the ${part} is cut short`);
  const reader = new ByteReader(bytes);
  demand(reader.bytes(8).equals(MAGIC[part]), `the ${part} is not one`);
  const checksum = new ByteReader(bytes.subarray(CHECKSUM_OFFSET)).u32();
  demand(
    checksum === crc32(bytes.subarray(0, CHECKSUM_OFFSET)),
    `the ${part} does not match its checksum`,
  );
  const algorithms = reader.bytes(6);
  const keyVersion = reader.u16();
  const own = reader.bytes(16);
  const ulid = ulidText(reader.bytes(16));
  return { fields: { algorithms, keyVersion, ulid, generation: reader.u32() }, own };
}
