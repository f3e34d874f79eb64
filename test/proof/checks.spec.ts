import { collectVault } from '../../src/vault/collect/collector.ts';
import { packDamage } from '../../src/vault/copy/keyless-pack-check.ts';
import { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import type { ObjectPart, ObjectRange } from '../../src/vault/store/object-store.ts';
import { MemoryProofLedger } from '../../src/vault/checks/proof-ledger.ts';
import { scrub, scrubWithoutKey } from '../../src/vault/checks/scrub.ts';
import { Vault } from '../../src/vault/vault.ts';
import { keysOf } from '../support/vault/vault-damage.ts';
import { signal } from '../support/vault/vault-lab.ts';
import { DAMAGES } from './damages.ts';
import { EXPECTED } from './expected.ts';
import { COLUMNS, ProofLab, type Judges } from './proof-lab.ts';
import { asText } from './verdicts.ts';

const JUDGES: Judges = {
  Vault,
  MemoryProofLedger,
  scrub,
  scrubWithoutKey,
  collectVault,
  packDamage,
};

/** Spoils the first answer that holds frames of one object, and no other. */
class OnceSpoiledStore extends MemoryObjectStore {
  spoiled: string | undefined;

  override async getRange(
    key: string,
    range: ObjectRange,
    stop: AbortSignal,
  ): Promise<ObjectPart | undefined> {
    const part = await super.getRange(key, range, stop);
    if (key !== this.spoiled || 'suffix' in range || range.length < 1000 || part === undefined) {
      return part;
    }
    this.spoiled = undefined;
    const data = Uint8Array.from(part.data);
    data[100] = (data[100] ?? 0) ^ 1;
    return { ...part, data };
  }
}

describe('everything that looks at a vault', () => {
  let lab: ProofLab;

  beforeAll(async () => {
    lab = await ProofLab.create();
  });
  afterAll(async () => {
    await lab.vault.close();
  });

  it('is tried with every kind of damage', () => {
    expect(Object.keys(EXPECTED)).toEqual(Object.keys(DAMAGES));
  });

  it.each(Object.entries(DAMAGES))('says what it should of: %s', async (name, apply) => {
    const store = await lab.clone();
    await apply(lab, store);

    const verdicts = await lab.judge(JUDGES, store);

    expect(verdicts).toHaveLength(COLUMNS.length);
    expect(asText(verdicts)).toBe(EXPECTED[name]);
  });

  it('does not take a frame for whole that was damaged when it was read, and whole when read again', async () => {
    const store = new OnceSpoiledStore();
    for (const key of await keysOf(lab.store, '')) {
      await store.put(key, (await lab.store.get(key, signal)) ?? new Uint8Array(), signal);
    }
    const unlock = { kind: 'master-key', key: lab.vault.exportKey() } as const;
    const vault = await Vault.open(store, unlock, { workers: 0 }, signal);
    store.spoiled = lab.shared;

    const [spoiled, whole] = [
      await vault.verify(lab.second, 3, { signal }),
      await vault.verify(lab.second, 3, { signal }),
    ];

    expect(spoiled.problems.map(({ code }) => code)).toContain('vault.chunk-corrupt');
    expect(whole).toMatchObject({ ok: true, problems: [] });
  });
});
