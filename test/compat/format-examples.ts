// node test/compat/format-examples.ts [--write]
//
// The examples of docs/vault-format.md, made by the code that writes vaults. With --write they are
// put into the document, between `<!-- example NAME -->` and `<!-- end -->`.
import { readFile, writeFile } from 'node:fs/promises';
import {
  alias,
  bad,
  condemned,
  dataFooter,
  DOCUMENT,
  DOMAIN,
  done,
  format,
  hold,
  holdEnd,
  inner,
  kept,
  keyObject,
  keys,
  leaf,
  MASTER_KEY,
  metadataPack,
  point,
  probe,
  RECOVERY_SECRET,
  retire,
  retiredList,
  retireRequest,
  seal,
  type Example,
} from './example-vault.ts';
import { hexDump, type Field } from './hex-dump.ts';

const DOCUMENT_URL = new URL('../../docs/vault-format.md', import.meta.url);
const BLOCK = /<!-- example ([a-z-]+) -->\n[^]*?<!-- end -->/g;

const field = (size: number, means: string): Field => ({ size, means });
const text = (size: number): Field => ({ size, means: '', isText: true });

const CONTROL = [
  field(8, 'HKCTRL00'),
  field(2, 'version of the format'),
  field(1, 'kind'),
  field(1, 'zero'),
  field(2, 'key version'),
  field(2, 'zero'),
  field(16, 'vault id'),
  field(4, 'body length'),
];
const MAC = field(32, 'MAC');
const SIGNATURE = field(64, 'signature');
const JSON_BODY = [...CONTROL, text(-32), MAC];
const SIGNED_JSON = [...CONTROL, SIGNATURE, text(-32), MAC];
const ID = field(16, 'id');
const PACK_ULID = field(16, 'ULID');

/** A pack reference behind the count of them. */
const REFERENCE = [field(1, 'one pack'), PACK_ULID, field(1, 'generation'), field(16, 'rand')];

const LEAF = [
  field(1, 'a leaf'),
  field(16, 'content MAC'),
  ...REFERENCE,
  field(1, 'two extents'),
  field(1, 'gap 0'),
  field(1, '3 sectors'),
  field(1, 'pack 0, from the first sector of its slot'),
  field(1, 'slot 0'),
  field(1, 'gap 5: it begins at sector 8'),
  field(1, '1 sector'),
  field(1, 'pack 0, not from the first sector'),
  field(1, 'slot 1, where slot 1 follows: zigzag 0'),
  field(1, 'first sector 1'),
];
const INNER = [
  field(1, 'an inner node'),
  field(1, 'level 1'),
  ...REFERENCE,
  field(1, 'one child'),
  field(1, 'gap 0: child 0'),
  field(1, 'pack 0'),
  field(1, 'slot 0'),
  field(16, 'MAC16 of the leaf'),
];

function packFields({ frame, footer }: ReturnType<typeof metadataPack>): Field[] {
  const kind = [
    field(2, 'version of the format'),
    field(1, 'kind: metadata'),
    field(1, 'cipher'),
    field(1, 'compression'),
    field(1, 'chunk id algorithm'),
    field(2, 'key version'),
  ];
  return [
    field(8, 'HKPACK00'),
    ...kind,
    field(16, 'vault id'),
    PACK_ULID,
    field(4, 'generation'),
    field(8, 'zero'),
    field(4, 'CRC-32 of the header'),
    field(4, 'frame 0'),
    field(4, 'its length with the tag'),
    field(4, 'CRC-32 of ciphertext and tag'),
    field(frame.length, 'ciphertext of the two nodes of section 7'),
    field(16, 'tag'),
    field(footer.length, 'ciphertext of the footer'),
    field(16, 'tag'),
    field(8, 'HKPEND00'),
    ...kind,
    field(8, 'offset of the footer'),
    field(4, 'length of the footer with its tag'),
    field(4, 'CRC-32 of the footer'),
    PACK_ULID,
    field(4, 'generation'),
    field(8, 'zero'),
    field(4, 'CRC-32 of the trailer'),
  ];
}

const POINT = [
  field(8, 'HKPOIN00'),
  field(2, 'version of the format'),
  field(2, 'zero'),
  field(2, 'key version'),
  field(2, 'zero'),
  field(16, 'vault id'),
  field(16, 'features'),
  field(12, 'zero'),
  field(4, 'CRC-32 of the header'),
  field(-16, 'ciphertext of the JSON'),
  field(16, 'tag'),
];

function keyTree(): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  const { key } = point();
  return [
    ['master key', MASTER_KEY],
    ['vault id', keys.vaultId],
    ['P(map, 0)', keys.purpose('map')],
    ['P(point, 0)', keys.purpose('point')],
    ['P(retention, 0): the seed', keys.retentionSeed(0)],
    ['public key of it', keys.retention.publicKey],
    [`P(chunk-id/${DOMAIN.slice(0, 4)}…, 0)`, keys.chunkId(DOMAIN)],
    ['key of the point below', keys.object('point', key)],
    ['secret of the recovery file', RECOVERY_SECRET],
  ]
    .map(([what, bytes]) => `${String(what).padEnd(28)}  ${hex(bytes as Uint8Array)}`)
    .concat([`dedupDomain                   ${DOMAIN}`])
    .join('\n');
}

function object({ key, object: bytes }: Example, fields: readonly Field[]): string {
  return `${key}\n\n${hexDump(bytes, fields)}`;
}

/** By name, what stands in the block of the document. */
export function formatExamples(): ReadonlyMap<string, string> {
  const pack = metadataPack();
  const slotList = (...body: Field[]): Field[] => [...CONTROL, ...body, MAC];
  return new Map([
    ['keys', keyTree()],
    [
      'key-object',
      object(keyObject(), [
        field(8, 'HKKEYS00'),
        field(4, 'length'),
        text(-32),
        field(32, 'SHA-256'),
      ]),
    ],
    ['format', object(format(), JSON_BODY)],
    ['seal', object(seal(), JSON_BODY)],
    ['retire', object(retire(), SIGNED_JSON)],
    ['retire-request', object(retireRequest(), JSON_BODY)],
    ['retired-list', object(retiredList(), SIGNED_JSON)],
    [
      'alias',
      object(
        alias(),
        slotList(
          field(1, 'one alias'),
          PACK_ULID,
          field(1, 'from slot 4'),
          field(1, '3 slots'),
          PACK_ULID,
          field(1, 'from slot 0'),
        ),
      ),
    ],
    ['hold', object(hold(), JSON_BODY)],
    ['hold-end', object(holdEnd(), SIGNED_JSON)],
    [
      'condemned',
      object(
        condemned(),
        slotList(
          field(1, 'two packs'),
          PACK_ULID,
          field(1, 'two ranges'),
          field(2, 'gap 1, 2 slots: 1 and 2'),
          field(2, 'gap 2, 1 slot: 5'),
          PACK_ULID,
          field(1, 'all its slots'),
        ),
      ),
    ],
    [
      'bad',
      object(
        bad(),
        slotList(field(1, 'one pack'), PACK_ULID, field(1, 'one range'), field(2, 'slot 3')),
      ),
    ],
    ['done', object(done(), slotList(field(1, 'no pack')))],
    ['pack', object(pack, packFields(pack))],
    [
      'metadata-footer',
      hexDump(pack.footer, [
        field(1, 'layout'),
        field(1, 'one frame'),
        field(2, 'its length with the tag'),
        field(1, 'raw length'),
        field(1, '2 slots, not compressed'),
        field(1, 'bytes of slot 0'),
        field(1, 'bytes of slot 1'),
        ID,
        ID,
        field(1, 'reserved'),
      ]),
    ],
    [
      'data-footer',
      hexDump(dataFooter(), [
        field(1, 'layout'),
        field(1, 'one frame'),
        field(2, 'its length with the tag: 12,304'),
        field(2, 'raw length: 12,288'),
        field(1, '2 slots, not compressed'),
        field(1, 'slot 0: 1 sector'),
        field(1, 'slot 1: 2 sectors'),
        ID,
        ID,
        field(1, 'reserved'),
      ]),
    ],
    ['leaf', hexDump(leaf(), LEAF)],
    ['inner', hexDump(inner(), INNER)],
    ['point', object(point(), POINT)],
    ['point-json', JSON.stringify(DOCUMENT, undefined, 2)],
    ['kept', object(kept(), JSON_BODY)],
    ['probe', object(probe(), JSON_BODY)],
  ]);
}

/** Names of the blocks of the document, in its order. */
export function exampleNames(document: string): string[] {
  return [...document.matchAll(BLOCK)].map(([, name = '']) => name);
}

/** The document with the examples of now. @throws Error for a block without an example */
export function withExamples(document: string): string {
  return withBlocks(document, formatExamples());
}

/** The document with these blocks. @throws Error for a block without an example */
export function withBlocks(document: string, examples: ReadonlyMap<string, string>): string {
  return document.replaceAll(BLOCK, (_, name: string) => {
    const example = examples.get(name);
    if (example === undefined) {
      throw new Error(`There is no example "${name}".`);
    }
    return `<!-- example ${name} -->\n\n\`\`\`\n${example}\n\`\`\`\n\n<!-- end -->`;
  });
}

if (import.meta.main) {
  const document = await readFile(DOCUMENT_URL, 'utf8');
  const present = withExamples(document);
  if (process.argv.includes('--write')) {
    await writeFile(DOCUMENT_URL, present);
  } else if (present !== document) {
    console.error('docs/vault-format.md has other examples; --write puts these into it.');
    process.exitCode = 1;
  }
}
