// node test/compat/record-examples.ts [--write]
//
// The examples of docs/service-records.md, made by the code that writes records. With --write they
// are put into the document, between `<!-- example NAME -->` and `<!-- end -->`.
import { readFile, writeFile } from 'node:fs/promises';
import { keys, RECORD, record } from './example-vault.ts';
import { withBlocks } from './format-examples.ts';
import { hexDump } from './hex-dump.ts';

const RECORDS_URL = new URL('../../docs/service-records.md', import.meta.url);

/** By name, what stands in the block of the document. */
export function recordExamples(): ReadonlyMap<string, string> {
  const { key, object } = record();
  const json = { ...RECORD, kind: undefined };
  const dump = hexDump(object, [
    { size: 8, means: 'HKSREC00' },
    { size: 2, means: 'version of this page' },
    { size: 1, means: 'kind: decisions' },
    { size: 1, means: 'zero' },
    { size: 2, means: 'key version' },
    { size: 2, means: 'zero' },
    { size: 16, means: 'vault id' },
    { size: -16, means: 'ciphertext of the JSON' },
    { size: 16, means: 'tag' },
  ]);
  return new Map([
    ['decisions', `${key}\n\n${dump}`],
    ['decisions-json', JSON.stringify(json)],
    ['keys', `key of the record    ${keys.object('catalog', key).toString('hex')}`],
  ]);
}

if (import.meta.main) {
  const document = await readFile(RECORDS_URL, 'utf8');
  const present = withBlocks(document, recordExamples());
  if (process.argv.includes('--write')) {
    await writeFile(RECORDS_URL, present);
  } else if (present !== document) {
    console.error('docs/service-records.md has other examples; --write puts these into it.');
    process.exitCode = 1;
  }
}
