import { Fault, unlessDamaged } from './fault.ts';

describe('unlessDamaged', () => {
  it('returns nothing for damage, and throws everything else', async () => {
    const noted: string[] = [];
    const damage = new Fault('vault.pack-corrupt', 'The pack is damaged.');
    const full = new Fault('store.full', 'The store is full.');
    const fails = (fault: Fault) => async () => Promise.reject<number>(fault);

    expect(await unlessDamaged(fails(damage))).toBe(undefined);
    expect(await unlessDamaged(fails(damage), ({ code }) => noted.push(code))).toBe(undefined);
    expect(noted).toEqual(['vault.pack-corrupt']);
    await expect(unlessDamaged(fails(full))).rejects.toBe(full);
    expect(await unlessDamaged(async () => Promise.resolve(1))).toBe(1);
  });
});
