import { parentPort } from 'node:worker_threads';
import { CONFIGURATIONS, type ConfigurationName } from './configurations.ts';
import { explore } from './explorer.ts';
import type { Rules } from './rules.ts';

export interface Question {
  readonly configuration: ConfigurationName;
  readonly rules: Rules;
  readonly statesMax: number;
  /** Asks whether everything can be removed after a merge, instead of looking for violations. */
  readonly untilAllRemoved?: boolean;
}

// Outside Jest's realm, in which every look at a global is slow.
parentPort?.on('message', ({ configuration, rules, statesMax, untilAllRemoved }: Question) => {
  const world = CONFIGURATIONS[configuration].build(rules);
  const broken = (s: Uint16Array): string | undefined =>
    world.stored(s) === 0 ? 'all is removed' : undefined;
  const protocol = {
    size: world.size,
    initial: () => world.initial(),
    steps: world.steps.bind(world),
    broken,
  };
  parentPort?.postMessage(explore(untilAllRemoved === true ? protocol : world, statesMax));
});
