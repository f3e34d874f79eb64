import assert from 'node:assert/strict';

const LINE_BYTES = 16;
const HEX_COLUMNS = LINE_BYTES * 3 - 1;

/** A part of an object; `size` below 0 is everything but so many bytes at the end. */
export interface Field {
  readonly size: number;
  readonly means: string;
  /** Shown beside its bytes. */
  readonly isText?: boolean;
}

/** Every byte of an object: offset, up to 16 bytes in hex, and what they mean. */
export function hexDump(object: Uint8Array, fields: readonly Field[]): string {
  const lines: string[] = [];
  let offset = 0;
  for (const { size, means, isText = false } of fields) {
    const end = size < 0 ? object.length + size : offset + size;
    assert(end >= offset && end <= object.length, `${means} is not in the object`);
    for (let at = offset; at < end; at += LINE_BYTES) {
      const bytes = Buffer.from(object.subarray(at, Math.min(at + LINE_BYTES, end)));
      const said = isText ? printable(bytes) : at === offset ? means : '';
      lines.push(line(at, bytes, said));
    }
    offset = end;
  }
  assert.equal(offset, object.length, 'some bytes have no meaning');
  return lines.join('\n');
}

function line(offset: number, bytes: Buffer, said: string): string {
  const hex = bytes.toString('hex').replaceAll(/..(?!$)/g, '$& ');
  return `${String(offset).padStart(4)}  ${hex.padEnd(HEX_COLUMNS)}  ${said}`.trimEnd();
}

function printable(bytes: Buffer): string {
  return bytes.toString('latin1').replaceAll(/[^ -~]/g, '.');
}
