import fc from 'fast-check';
import { ByteReader, ByteWriter } from './binary.ts';

describe('ByteWriter', () => {
  it.each([0, 1, 2, 3, 5, 8])(
    'keeps every byte when it grows from %d bytes at any moment',
    (sizeExpected) => {
      const values = Array.from({ length: 300 }, (_, index) => (index * 37) % 256);
      const writer = new ByteWriter(sizeExpected);
      for (const value of values) {
        writer.u8(value);
      }

      expect([...writer.finish()]).toEqual(values);
    },
  );

  it('writes what ByteReader reads, whatever the order and the first size', () => {
    const field = fc.oneof(
      fc.record({ kind: fc.constant('varint' as const), value: fc.maxSafeNat() }),
      fc.record({
        kind: fc.constant('zigzag' as const),
        value: fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }),
      }),
      fc.record({ kind: fc.constant('u16' as const), value: fc.nat(0xffff) }),
      fc.record({ kind: fc.constant('u8' as const), value: fc.nat(0xff) }),
    );
    fc.assert(
      fc.property(fc.array(field, { maxLength: 60 }), fc.nat(40), (fields, sizeExpected) => {
        const writer = new ByteWriter(sizeExpected);
        for (const { kind, value } of fields) {
          writer[kind](value);
        }
        const reader = new ByteReader(writer.finish());
        const read = fields.map(({ kind }) => ({ kind, value: reader[kind]() }));
        reader.end();

        expect(read).toEqual(fields);
      }),
      { seed: 20_081, numRuns: 300 },
    );
  });
});
