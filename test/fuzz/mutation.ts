import fc from 'fast-check';

/** One way to spoil bytes. Positions and lengths are shares of the input: they fit any of it. */
type Mutation =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'set'; readonly at: number; readonly value: number }
  | {
      readonly kind: 'number';
      readonly at: number;
      readonly value: bigint;
      readonly bytes: 1 | 2 | 4 | 8;
      readonly big: boolean;
    }
  | { readonly kind: 'varint'; readonly at: number; readonly value: number; readonly over: number }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'drop'; readonly at: number; readonly length: number }
  | {
      readonly kind: 'repeat';
      readonly at: number;
      readonly length: number;
      readonly times: number;
    }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array };

const at = fc.double({ min: 0, max: 1, noNaN: true });
const NUMBERS = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  2n ** 53n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const VARINTS = [
  0,
  1,
  127,
  128,
  16_383,
  16_384,
  65_534,
  65_535,
  65_536,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 53 - 1,
];

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('set' as const), at, value: fc.nat(255) }),
  fc.record({
    kind: fc.constant('number' as const),
    at,
    value: fc.constantFrom(...NUMBERS),
    bytes: fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const),
    big: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('varint' as const),
    at,
    value: fc.constantFrom(...VARINTS),
    over: fc.nat(9),
  }),
  fc.record({ kind: fc.constant('cut' as const), at }),
  fc.record({ kind: fc.constant('drop' as const), at, length: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    kind: fc.constant('repeat' as const),
    at,
    length: fc.integer({ min: 1, max: 40 }),
    times: fc.integer({ min: 1, max: 300 }),
  }),
  fc.record({
    kind: fc.constant('insert' as const),
    at,
    bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  }),
);

/** Bytes made of one of the examples by a few mutations, or of nothing at all. */
export function spoiled(examples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    { arbitrary: fc.uint8Array({ maxLength: 400 }), weight: 1 },
    {
      arbitrary: fc
        .tuple(fc.constantFrom(...examples), fc.array(mutation, { minLength: 1, maxLength: 6 }))
        .map(([example, mutations]) => mutations.reduce<Buffer>(mutate, Buffer.from(example))),
      weight: 9,
    },
  );
}

function mutate(bytes: Buffer, change: Mutation): Buffer {
  const position = Math.floor(change.at * Math.max(0, bytes.length - 1));
  const insert = (piece: Uint8Array, over = 0): Buffer =>
    Buffer.concat([bytes.subarray(0, position), piece, bytes.subarray(position + over)]);
  switch (change.kind) {
    case 'flip':
      return insert(Buffer.of((bytes[position] ?? 0) ^ (1 << change.bit)), 1);
    case 'set':
      return insert(Buffer.of(change.value), 1);
    case 'number':
      return insert(fixed(change.value, change.bytes, change.big), change.bytes);
    case 'varint':
      return insert(varint(change.value), change.over);
    case 'cut':
      return bytes.subarray(0, position);
    case 'drop':
      return insert(Buffer.alloc(0), change.length);
    case 'repeat': {
      const piece = bytes.subarray(position, position + change.length);
      return insert(Buffer.concat(Array.from({ length: change.times }, () => piece)));
    }
    case 'insert':
      return insert(change.bytes);
  }
}

function fixed(value: bigint, length: number, big: boolean): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  const low = bytes.subarray(0, length);
  return big ? low.reverse() : low;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; bytes.length < 9; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) + (rest >= 128 ? 128 : 0));
    if (rest < 128) {
      break;
    }
  }
  return Buffer.from(bytes);
}

/**
 * JSON texts near the example: fields gone, swapped for others or for nonsense, and broken text.
 */
export function spoiledJson(example: unknown): fc.Arbitrary<Uint8Array> {
  const text = Buffer.from(JSON.stringify(example));
  const nonsense = fc.oneof(
    fc.constantFrom<unknown>(null, true, -1, 1e308, 2 ** 53, '', [], {}, 'x'.repeat(5000), {
      __proto__: 1,
    }),
    fc.jsonValue(),
  );
  const paths = pathsOf(example, []);
  return fc.oneof(
    spoiled([text]),
    fc
      .array(fc.tuple(fc.constantFrom(...paths), nonsense), { minLength: 1, maxLength: 3 })
      .map((changes) => {
        let document: unknown = structuredClone(example);
        for (const [path, value] of changes) {
          document = replaced(document, path, value);
        }
        return Buffer.from(JSON.stringify(document));
      }),
  );
}

function pathsOf(value: unknown, path: readonly string[]): (readonly string[])[] {
  const below =
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([name, child]) => pathsOf(child, [...path, name]))
      : [];
  return [path, ...below];
}

function replaced(document: unknown, [name, ...rest]: readonly string[], value: unknown): unknown {
  if (name === undefined || typeof document !== 'object' || document === null) {
    return value;
  }
  const child = replaced((document as Record<string, unknown>)[name], rest, value);
  return Array.isArray(document)
    ? document.map((old: unknown, index) => (String(index) === name ? child : old))
    : { ...document, [name]: child };
}
