import { isFault } from '../../../src/kernel/fault.ts';
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

  /** What must stand whatever happens: what the floors keep, and what is not the attacker's. */
  function protectedIn({ stay, byHand, ofOther }: Scene): string[] {
    return [...stay, byHand, ofOther].map(({ id }) => id);
  }

  async function requireFloors(scene: Scene, ids = protectedIn(scene)): Promise<void> {
    const standing = await scene.standing();
    expect(ids.filter((id) => !standing.has(id))).toEqual([]);
  }

  async function prune(scene: Scene): Promise<void> {
    const vault = await scene.openAsCollector();
    try {
      const rules = { youngMs: 0, allPointsAreListed: true };
      await collectVault(vault.inside, rules, { signal });
    } catch (error) {
      // Where the attacker spoiled a point nothing is removed at all.
      if (!isFault(error, 'vault.collect-unsure')) {
        throw error;
      }
    } finally {
      await vault.close();
    }
  }

  it.each(ATTACKS)('$name', async ({ run, effect }) => {
    await using scene = await lab.scene();
    await run(scene);

    const { givenUp } = await scene.look();
    if (effect === 'none') {
      expect(givenUp).toEqual([]);
    } else {
      expect(givenUp).toHaveLength(DAILY);
    }
    await requireFloors(scene);
    // The same again at once, and a day and six days later.
    expect((await scene.look()).givenUp).toEqual([]);
    for (const days of [1, 5]) {
      await scene.pass(days * DAY_MS + 1);
      expect((await scene.look()).givenUp.length).toBeLessThanOrEqual(DAILY);
    }
    await prune(scene);
    // By now the young ones are a week old, and the first two of the others no longer stay.
    await requireFloors(scene, protectedIn(scene).slice(2));
  });

  it('shows an order that it has withdrawn', async () => {
    await using scene = await lab.scene();
    await withdraw(scene);
    expect(await scene.look()).toMatchObject({ givenUp: [], wentBack: [] });
    await replay(scene);

    expect(await scene.look()).toMatchObject({ givenUp: [], wentBack: [expect.any(String)] });
    await requireFloors(scene);
  });

  it('has twenty ways and more', () => {
    expect(ATTACKS.length + 1).toBeGreaterThanOrEqual(20);
  });
});
