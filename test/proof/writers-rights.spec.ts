import type { MemoryObjectStore } from '../support/vault/memory-object-store.ts';
import { collectVault } from '../../src/vault/collect/collector.ts';
import { parsePackKey } from '../../src/vault/format/object-names.ts';
import { DamagedSlots } from '../../src/vault/damage/damaged-slots.ts';
import { MemoryProofLedger } from '../../src/vault/checks/proof-ledger.ts';
import { scrub, scrubWithoutKey } from '../../src/vault/checks/scrub.ts';
import { packDamage } from '../../src/vault/copy/keyless-pack-check.ts';
import { repairVault } from '../../src/vault/repair/repair.ts';
import { Vault } from '../../src/vault/vault.ts';
import { changeObject, flip, keysOf } from '../support/vault/vault-damage.ts';
import { signal } from '../support/vault/vault-lab.ts';
import { DAMAGES } from './damages.ts';
import { ProofLab, type Judges } from './proof-lab.ts';

const JUDGES: Judges = {
  Vault,
  MemoryProofLedger,
  scrub,
  scrubWithoutKey,
  collectVault,
  packDamage,
};

/**
 * What somebody can put with the key but without the right to remove: objects beside those of an
 * old point.
 */
const FORGERIES = [
  'the newer of two generations is wrong',
  'the newer of two generations has other chunks',
  'an alias leads to wrong content',
  'an alias leads to other chunks',
];

describe('an old point, and somebody with the rights of a writer', () => {
  let lab: ProofLab;

  beforeAll(async () => {
    lab = await ProofLab.create();
  });
  afterAll(async () => {
    await lab.vault.close();
  });

  async function open(store: MemoryObjectStore): Promise<Vault> {
    const unlock = { kind: 'master-key', key: lab.vault.exportKey() } as const;
    return Vault.open(store, unlock, { workers: 0 }, signal);
  }

  it.each(FORGERIES)('is not collected because of this: %s', async (forgery) => {
    const store = await lab.clone();
    await DAMAGES[forgery]?.(lab, store);

    await collectVault(
      (await open(store)).inside,
      { youngMs: 0, mergeCount: 1000, liveShare: 0, allPointsAreListed: true },
      { signal },
    );

    expect(await keysOf(store, 'd/')).toContain(lab.shared);
    const verdicts = await lab.judge(JUDGES, store);
    expect(verdicts.slice(0, 6)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok', 'ok']);
  });

  it('loses what lies twice, once the later place was read and is what its ids say', async () => {
    const store = await lab.clone();
    await DAMAGES['an alias leads to the right one']?.(lab, store);

    await collectVault(
      (await open(store)).inside,
      { youngMs: 0, mergeCount: 1000, liveShare: 0, allPointsAreListed: true },
      { signal },
    );

    expect(await keysOf(store, 'd/')).not.toContain(lab.shared);
    expect((await lab.judge(JUDGES, store)).slice(0, 6)).toEqual(Array(6).fill('ok'));
  });

  it('is written down as damaged although a later generation has other chunks in its place', async () => {
    const store = await lab.clone();
    await DAMAGES['the newer of two generations has other chunks']?.(lab, store);
    await changeObject(store, lab.shared, flip(100));
    const { inside } = await open(store);

    const ledger = new MemoryProofLedger();
    await scrub(inside, { ledger, budget: { bytes: Infinity } }, { signal });

    const damaged = new DamagedSlots(inside.base, inside.log);
    await damaged.read(signal);
    const [slot = -1] = (await lab.slots()).needed;
    expect(damaged.has(parsePackKey(lab.shared)?.ulid ?? '', slot)).toBe(true);
  });

  it('is not mended with content that is not what its ids say', async () => {
    const store = await lab.clone();
    await DAMAGES['content is not what its id says']?.(lab, store);
    const { inside } = await open(store);

    const alone = await repairVault(inside, { dryRun: false, suspects: [lab.shared] }, { signal });
    expect(alone.packs).toMatchObject([{ outcome: 'lost', healedSlots: 0 }]);
    const mended = await repairVault(
      inside,
      { dryRun: false, suspects: [lab.shared], copy: await lab.clone() },
      { signal },
    );

    expect(mended.packs).toMatchObject([{ outcome: 'rewritten', lostSlots: 0 }]);
    expect((await lab.judge(JUDGES, store)).slice(0, 6)).toEqual(Array(6).fill('ok'));
  });
});
