import { faultCode } from '../../../test/support/service/fault-code.ts';
import { decodeControl, encodeControl } from './control-object.ts';
import { FORMAT_VERSION } from '../format/format-version.ts';
import { KeyTree } from '../keys/key-tree.ts';

const KEY = 'alias/000001-00000000000000000000000000000000';
const keys = new KeyTree(Buffer.alloc(32, 1), Buffer.alloc(16, 2));

function read(object: Uint8Array): string | undefined {
  return faultCode(() => decodeControl(keys, 'alias', KEY, object));
}

/** Returns the object with another byte at `offset` and a valid MAC. */
function rewritten(offset: number, value: number): Buffer {
  const object = encodeControl(keys, 'alias', KEY, Buffer.from('body'));
  const content = Buffer.from(object.subarray(0, -32));
  content[offset] = value;
  const name = Buffer.concat([Buffer.from([KEY.length, 0]), Buffer.from(KEY)]);
  return Buffer.concat([content, keys.mac('control', 0, name, content)]);
}

describe('a control object', () => {
  it('is of a later version only if a holder of the keys says so; else it is damaged', () => {
    const newer = rewritten(8, FORMAT_VERSION + 1);
    const flipped = encodeControl(keys, 'alias', KEY, Buffer.from('body'));
    flipped[8] = FORMAT_VERSION + 1;

    expect(read(newer)).toBe('vault.format-newer');
    expect(read(flipped)).toBe('vault.control-corrupt');
  });

  it('may have something where this version has zeroes', () => {
    expect(read(rewritten(11, 7))).toBeUndefined();
    expect(read(rewritten(14, 7))).toBeUndefined();
  });

  it('is of the kind that is asked for', () => {
    expect(read(rewritten(10, 8))).toBe('vault.control-corrupt');
  });
});
