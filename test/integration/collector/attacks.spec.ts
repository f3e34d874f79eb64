import { collectVault } from '../../../src/vault/collect/collector.ts';
import { signal } from '../../support/vault/vault-lab.ts';
import { attackLab, DAILY, DAY_MS, type Scene } from './attack-lab.ts';
import { ATTACKS, replay, withdraw } from './attacks.ts';

describe('a taken-over writer, against a collector on another machine', () => {
  let lab: Awaited<ReturnType<typeof attackLab>>;

  beforeAll(async () => {
    lab = await attackLab();
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  async function prune(scene: Scene): Promise<void> {
    const vault = await scene.openAsCollector();
    const rules = { youngMs: 0, abandonedMs: 0, allPointsAreListed: true };
    await collectVault(vault.inside, rules, { signal });
    await vault.close();
  }

  it.each(ATTACKS)('$name', async ({ run, effect, asksCollections }) => {
    await using scene = await lab.scene();
    await run(scene);

    const { givenUp } = await scene.look();
    if (effect === 'none') {
      expect(givenUp).toEqual([]);
    } else {
      expect(givenUp).toHaveLength(DAILY);
    }
    // The same again at once, and a day later.
    expect((await scene.look()).givenUp).toEqual([]);
    await scene.pass(DAY_MS + 1);
    expect((await scene.look()).givenUp.length).toBeLessThanOrEqual(DAILY);
    if (asksCollections === true) {
      await prune(scene);
    }
    const standing = await scene.standing();
    // What stays whatever happens: what the floors keep, and what is not the attacker's.
    const { stay, byHand, ofOther } = scene;
    const lost = [...stay, byHand, ofOther].filter(({ id }) => !standing.has(id));
    expect(lost).toEqual([]);
  });

  it('shows an order that it has withdrawn', async () => {
    await using scene = await lab.scene();
    await withdraw(scene);
    expect(await scene.look()).toMatchObject({ givenUp: [], wentBack: [] });
    await replay(scene);

    expect(await scene.look()).toMatchObject({ givenUp: [], wentBack: [expect.any(String)] });
    const standing = await scene.standing();
    expect(scene.own.filter(({ id }) => !standing.has(id))).toEqual([]);
  });

  it('has twenty ways and more', () => {
    expect(ATTACKS.length + 1).toBeGreaterThanOrEqual(20);
  });
});
