// npm run demo [-- --keep] [-- --s3 | --day]
//
// The main job on a real machine: a VM is backed up while it writes, damaged, lost together with
// the service's database, and an earlier moment of it is brought back from the vault alone and
// proven. With --day: a day of a policy, with a kill, an outage and a new VM, then
// retention, a prune and a copy.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureTestGuest } from '../scripts/guest/image.ts';
import { CommandLine } from './command-line.ts';
import { Day } from './day/day.ts';
import { Shop } from './shop.ts';
import { Story } from './story.ts';
import { openVaultPlace } from './vault-place.ts';

const { values: options } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    day: { type: 'boolean', default: false },
    s3: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const HELP = `npm run demo -- [--s3 | --day] [--keep]
  --day   a day of a policy in about three minutes, the vault in a bucket as well
  --s3    the vault is a bucket of a MinIO server instead of a folder
  --keep  leave everything in place for a look, and say where
`;

/** How long a backup waits for a store that is away: 20 minutes of the day's fast hours. */
const DAY_PATIENCE = '2s';

async function demo(signal: AbortSignal): Promise<void> {
  const story = new Story();
  const folder = await mkdtemp(join(tmpdir(), 'hyperkeep-demo-'));
  // Others may pass through, not look: PostgreSQL does not run as root and needs a user of its own.
  await chmod(folder, 0o711);
  await using ending = new AsyncDisposableStack();
  ending.defer(async () => {
    if (options.keep) {
      story.line(`\nEverything is still in ${folder}; remove it with rm -r.`);
    } else {
      await rm(folder, { recursive: true, force: true });
    }
  });
  const place = ending.use(await openVaultPlace(folder, options.s3 || options.day, signal));
  const commands = new CommandLine(story, {
    HYPERKEEP_HOME: join(folder, 'home'),
    HYPERKEEP_PASSPHRASE: 'correct-horse-battery-staple-demo',
    ...place.environment,
    ...(options.day ? { STORE_PATIENCE: DAY_PATIENCE } : {}),
  });
  const parts = { story, commands, folder, place, guest: await ensureTestGuest() };
  if (options.day) {
    await aDay(ending.use(new Day(parts)), signal);
    story.line(`\nDone in ${story.total()}: a day, and every run is accounted for.`);
    return;
  }
  const shop = ending.use(new Shop(parts));
  await shop.opens(signal);
  await shop.isBackedUp(signal);
  await shop.goesOn(signal);
  await shop.isDamagedAndLost(signal);
  await shop.comesBack(signal);
  await shop.isProven(signal);
  story.line(`\nDone in ${story.total()}: lost, and back as it was.`);
}

async function aDay(day: Day, signal: AbortSignal): Promise<void> {
  await day.isPrepared(signal);
  await day.begins(signal);
  await day.isKilled(signal);
  await day.losesItsStore(signal);
  await day.getsAnotherVm(signal);
  await day.ends(signal);
  await day.isCounted(signal);
  await day.keeps(signal);
}

const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  // More than once: a terminal, npm and the set-up each pass it on, and cleaning up goes on.
  process.on(name, () => {
    controller.abort();
  });
}
if (options.help) {
  console.log(HELP);
} else {
  await demo(controller.signal).catch((error: unknown) => {
    const said = Error.isError(error) ? error.message : String(error);
    console.error(
      controller.signal.aborted ? '\nStopped, as asked.' : `\nThe demo failed: ${said}`,
    );
    process.exitCode = 1;
  });
}
