// npm run soak -- gc-model [--small] [--configuration NAME] [--states MILLIONS]
//
// The protocol's model in configurations that are too large for every day: up to 8 GB and half an
// hour. With --small in those that `npm test` draws from, and without each of the rules, which must
// lose something.
import { parseArgs } from 'node:util';
import { CONFIGURATIONS, LARGE, type ConfigurationName as Name } from '../model/configurations.ts';
import { exploreByFingerprints } from '../model/fingerprint-explorer.ts';
import { MUTANTS } from '../model/mutants.ts';
import { RULES, without, type Rule } from '../model/rules.ts';

const { values } = parseArgs({
  options: {
    configuration: { type: 'string' },
    small: { type: 'boolean', default: false },
    states: { type: 'string', default: '480' },
  },
});
const all = { ...LARGE, ...CONFIGURATIONS };
const names = (Object.keys(all) as (keyof typeof all)[]).filter((name) =>
  values.configuration === undefined
    ? values.small !== name in LARGE
    : name === values.configuration,
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
for (const [rule, name] of values.small ? (Object.entries(MUTANTS) as [Rule, Name][]) : []) {
  const { violation } = exploreByFingerprints(
    CONFIGURATIONS[name].build(without(rule)),
    Number(values.states) * 1e6,
  );
  console.log(`${name} without ${rule}: ${violation?.why ?? 'NOTHING IS LOST'}`);
  failures += violation === undefined ? 1 : 0;
}
console.log(failures === 0 ? 'all proven' : `${failures} not proven`);
process.exitCode = failures === 0 ? 0 : 1;
