// node demo/day/service.ts BEGAN_MS
//
// The built service with the demo's clock, by which policies fire. Everything else in it keeps the
// real time. There is no setting for this: only a program that calls `serve` can do it.
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { serve as Serve } from '../../src/main.ts';
import { readConfig } from '../../src/platform/config/config.ts';
import { FastClock } from './fast-clock.ts';

const ROOT = new URL('../../', import.meta.url);
// Built, because Node does not strip decorators.
const { serve } = (await import(new URL('dist/main.js', ROOT).href)) as { serve: typeof Serve };
const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
  version: string;
};
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    stop.abort();
  });
}
const { uid: userId, homedir: homeFolder } = userInfo();
const config = readConfig(process.env, { userId, homeFolder });
process.env['TMPDIR'] = config.runFolder;
const { stdout: output, stderr: errors } = process;
const schedulingClock = new FastClock(Number(process.argv[2]));
await serve({ config, version, output, errors, schedulingClock }, stop.signal);
