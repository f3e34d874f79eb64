import { readFile } from 'node:fs/promises';
import { decodeKeyObject, unwrapWithRecovery } from '../../src/vault/keys/key-object.ts';
import { decodeRecord } from '../../src/vault/records/record-object.ts';
import { decodePoint } from '../../src/vault/points/point-object.ts';
import { requireReadable } from '../../src/vault/access/read-back-store.ts';
import * as vault from './example-vault.ts';
import { exampleNames, formatExamples, withBlocks, withExamples } from './format-examples.ts';
import { recordExamples } from './record-examples.ts';

async function document(): Promise<string> {
  return readFile(new URL('../../docs/vault-format.md', import.meta.url), 'utf8');
}

describe('the examples of docs/vault-format.md', () => {
  it('are what `node test/compat/format-examples.ts --write` writes, each once', async () => {
    const written = await document();

    expect(exampleNames(written).toSorted()).toEqual([...formatExamples().keys()].toSorted());
    expect(written).toBe(withExamples(written));
  });

  it('would not pass with another byte', async () => {
    const written = await document();
    const changed = written.replace('48 4b 50 41 43 4b 30 30', '48 4b 50 41 43 4b 30 31');

    expect(changed).not.toBe(written);
    expect(withExamples(changed)).toBe(written);
  });

  it('are objects that the program reads', () => {
    const examples = Object.values(vault).flatMap((make) => {
      const made = typeof make === 'function' ? make() : undefined;
      return made !== undefined && 'key' in made ? [made] : [];
    });

    expect(examples).toHaveLength(17);
    for (const { key, object } of examples) {
      expect(() => {
        requireReadable(vault.secrets, key, object);
      }).not.toThrow();
    }
  });

  it('open with the keys that the document names', () => {
    const { key, object } = vault.keyObject();
    const wrapped = decodeKeyObject(key, object);
    const at = { vmId: vault.VM, id: vault.POINT };

    expect(
      wrapped.kind === 'recovery' && unwrapWithRecovery(key, wrapped, vault.RECOVERY_SECRET),
    ).toEqual(vault.MASTER_KEY);
    expect(decodePoint(vault.keys, at, vault.point().object)).toEqual(vault.DOCUMENT);
  });
});

describe('the examples of docs/service-records.md', () => {
  it('are what `node test/compat/record-examples.ts --write` writes, each once', async () => {
    const url = new URL('../../docs/service-records.md', import.meta.url);
    const written = await readFile(url, 'utf8');

    expect(exampleNames(written).toSorted()).toEqual([...recordExamples().keys()].toSorted());
    expect(written).toBe(withBlocks(written, recordExamples()));
  });

  it('open with the key that the document names', () => {
    const { key, object } = vault.record();

    expect(decodeRecord(vault.keys, key, object)).toEqual(vault.RECORD);
  });
});
