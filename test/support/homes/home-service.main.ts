// A whole service of a home of the lab: the other end of home.ts. Called with one parameter, a
// HomeService as JSON. Its settings come from its environment, as ever.
import { appendFileSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { LeaseTerms } from '../../../src/catalog/jobs/lease-messages.ts';
import { QemuEngine } from '../../../src/engines/qemu/qemu-engine.ts';
import { serve } from '../../../src/main.ts';
import { readConfig } from '../../../src/platform/config/config.ts';
import { HomeEngine } from './home-engine.ts';
import { RemoteEngine } from './remote-engine.ts';
import { TenfoldClock } from './tenfold-clock.ts';

export interface HomeService {
  /** Of the engine with the fake VMs. */
  readonly engineSocket: string;
  /** Of the clock by which policies fire. */
  readonly clockBeganMs: number;
}

/** A tenth of what people get. */
const LEASES: LeaseTerms = { leaseMs: 6000, renewMs: 1500, standstillMs: 60_000 };
const { engineSocket, clockBeganMs } = JSON.parse(process.argv[2] ?? '') as HomeService;
const { version } = JSON.parse(
  readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
) as { version: string };
const stop = new AbortController();
process.on('SIGTERM', () => {
  stop.abort();
});
const { uid: userId, homedir: homeFolder } = userInfo();
const config = readConfig(process.env, { userId, homeFolder });
process.env['TMPDIR'] = config.runFolder;
const fake = new RemoteEngine(engineSocket);
const real: QemuEngine = new QemuEngine({
  stateFolder: join(config.home, 'vms'),
  runFolder: config.runFolder,
  onStep: async (step) => {
    // A home has one real VM at most.
    const [vm] = await real.ids();
    if (step === 'changes-logged' && vm !== undefined) {
      await fake.note('log', 'after', { vm });
    }
  },
});
await serve(
  {
    config,
    version,
    output: process.stdout,
    errors: {
      write: (line: string) => {
        // Outlives the process, for whoever asks what it did last.
        appendFileSync(join(config.home, 'service.log'), line);
        return process.stderr.write(line);
      },
    },
    schedulingClock: new TenfoldClock(clockBeganMs),
    leases: LEASES,
    engine: new HomeEngine(fake, real),
  },
  stop.signal,
);
