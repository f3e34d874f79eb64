// npm run soak -- gc-model [--configuration NAME] [--states MILLIONS]
//
// The protocol's model in configurations that are too large for every day: up to 8 GB and half an
// hour.
import { parseArgs } from 'node:util';
import { CONFIGURATIONS, LARGE } from '../model/configurations.ts';
import { exploreByFingerprints } from '../model/fingerprint-explorer.ts';
import { RULES } from '../model/rules.ts';

const { values } = parseArgs({
  options: {
    configuration: { type: 'string' },
    states: { type: 'string', default: '480' },
  },
});
const all = { ...LARGE, ...CONFIGURATIONS };
const names = (Object.keys(all) as (keyof typeof all)[]).filter((name) =>
  values.configuration === undefined ? name in LARGE : name === values.configuration,
);
if (names.length === 0) {
  throw new Error(`There is no configuration of that name: ${Object.keys(all).join(', ')}`);
}
let failures = 0;
for (const name of names) {
  const before = process.cpuUsage();
  const { states, complete, violation } = exploreByFingerprints(
    all[name].build(RULES),
    Number(values.states) * 1e6,
  );
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  const rss = process.memoryUsage.rss() / 2 ** 30;
  const result = violation ? violation.why : complete ? 'no violation' : 'not finished: no proof';
  console.log(
    `${name} (${all[name].about}): ${result}; ${states.toLocaleString('en')} states, ${seconds.toFixed(0)} s of processor time, ${(states / seconds / 1000).toFixed(0)}k states/s, ${rss.toFixed(1)} GiB`,
  );
  for (const label of violation?.trace ?? []) {
    console.log(`  ${label}`);
  }
  failures += complete ? 0 : 1;
}
console.log(failures === 0 ? 'all proven' : `${failures} not proven`);
process.exitCode = failures === 0 ? 0 : 1;
