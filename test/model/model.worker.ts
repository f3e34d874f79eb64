import { parentPort } from 'node:worker_threads';
import { CONFIGURATIONS, type ConfigurationName } from './configurations.ts';
import { explore } from './explorer.ts';
import { exploreByFingerprints } from './fingerprint-explorer.ts';
import type { Rules } from './rules.ts';

export interface Question {
  readonly configuration: ConfigurationName;
  readonly rules: Rules;
  readonly statesMax: number;
  /** Asks whether everything can be removed after a merge, instead of looking for violations. */
  readonly untilAllRemoved?: boolean;
  /** As the soak does it, whose state spaces do not fit otherwise. */
  readonly byFingerprints?: boolean;
}

// Outside Jest's realm, in which every look at a global is slow.
parentPort?.on('message', (question: Question) => {
  const { configuration, rules, statesMax, untilAllRemoved, byFingerprints } = question;
  const world = CONFIGURATIONS[configuration].build(rules);
  const broken = (s: Uint16Array): string | undefined =>
    world.stored(s) === 0 ? 'all is removed' : undefined;
  const protocol = {
    size: world.size,
    initial: () => world.initial(),
    steps: world.steps.bind(world),
    broken,
  };
  const visit = byFingerprints === true ? exploreByFingerprints : explore;
  parentPort?.postMessage(visit(untilAllRemoved === true ? protocol : world, statesMax));
});
