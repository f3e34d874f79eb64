import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Draw } from '../support/draw.ts';
import { CONFIGURATIONS, type ConfigurationName } from './configurations.ts';
import type { Exploration } from './explorer.ts';
import type { Question } from './model.worker.ts';
import { MUTANTS, PROGRESS } from './mutants.ts';
import { RULES, without, type Rule } from './rules.ts';

const NAMES_DRAWN = 5;
const MUTANTS_DRAWN = 9;
const STATES_MAX = 8_000_000;

const names = Object.keys(CONFIGURATIONS) as ConfigurationName[];
const mutants = Object.entries(MUTANTS) as [Rule, ConfigurationName][];
const draw = new Draw('model');

describe('the protocol of commit and collection', () => {
  let worker: Worker;

  beforeAll(() => {
    worker = new Worker(new URL('./model.worker.ts', import.meta.url));
  });

  afterAll(async () => {
    await worker.terminate();
  });

  async function explored(question: Partial<Question> & Pick<Question, 'configuration'>) {
    worker.postMessage({ rules: RULES, statesMax: STATES_MAX, ...question });
    const [exploration] = (await once(worker, 'message')) as [Exploration];
    return exploration;
  }

  it.each(draw.some(names, NAMES_DRAWN))('loses nothing: %s', async (configuration) => {
    const { complete, violation, states } = await explored({ configuration });

    expect(violation).toBeUndefined();
    expect(complete).toBe(true);
    // A model in which little can happen proves little.
    expect(states).toBeGreaterThan(30_000);
  });

  it.each(draw.some(mutants, MUTANTS_DRAWN))(
    'needs the rule %s (%s)',
    async (rule, configuration) => {
      const { violation } = await explored({ configuration, rules: without(rule) });

      expect(violation?.trace.length).toBeGreaterThan(2);
    },
  );

  it('is visited as far when fingerprints are remembered instead of states', async () => {
    const question = { configuration: 'any-marks' } as const;
    const exact = await explored(question);

    expect(await explored({ ...question, byFingerprints: true })).toEqual(exact);
    const [mutant] = mutants;
    const [rule, configuration] = mutant ?? [PROGRESS, 'merged'];
    const broken = { configuration, rules: without(rule), byFingerprints: true };
    expect((await explored(broken)).violation?.trace.length).toBeGreaterThan(2);
  });

  it('removes what was merged once nobody needs it, because a manifest has all names', async () => {
    const question = { configuration: 'merged', untilAllRemoved: true } as const;

    expect((await explored(question)).violation).toBeDefined();
    const withoutNames = await explored({ ...question, rules: without(PROGRESS) });
    expect(withoutNames).toMatchObject({ complete: true });
    // If it did remove what it has not condemned under all names, points would be lost.
    const { violation } = await explored({
      configuration: 'merged',
      rules: without(PROGRESS, 'wholeClassOnly'),
    });
    expect(violation).toBeDefined();
  });

  it('has a mutant for every rule', () => {
    expect([...Object.keys(MUTANTS), PROGRESS].sort()).toEqual(Object.keys(RULES).sort());
  });
});
