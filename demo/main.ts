// npm run demo [-- --keep] [-- --s3]
//
// The main job on a real machine: a VM is backed up while it writes, damaged, lost together with
// the service's database, and an earlier moment of it is brought back from the vault alone and
// proven.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureTestGuest } from '../scripts/guest/image.ts';
import { CommandLine } from './command-line.ts';
import { Shop } from './shop.ts';
import { Story } from './story.ts';
import { openVaultPlace } from './vault-place.ts';

const { values: options } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    s3: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const HELP = `npm run demo -- [--s3] [--keep]
  --s3    the vault is a bucket of a MinIO server instead of a folder
  --keep  leave everything in place for a look, and say where
`;

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
  const place = ending.use(await openVaultPlace(folder, options.s3, signal));
  const commands = new CommandLine(story, {
    HYPERKEEP_HOME: join(folder, 'home'),
    HYPERKEEP_PASSPHRASE: 'correct-horse-battery-staple-demo',
    ...place.environment,
  });
  const shop = ending.use(
    new Shop({ story, commands, folder, place, guest: await ensureTestGuest() }),
  );
  await shop.opens(signal);
  await shop.isBackedUp(signal);
  await shop.goesOn(signal);
  await shop.isDamagedAndLost(signal);
  await shop.comesBack(signal);
  await shop.isProven(signal);
  story.line(`\nDone in ${story.total()}: lost, and back as it was.`);
}

const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    controller.abort();
  });
}
if (options.help) {
  console.log(HELP);
} else {
  await demo(controller.signal).catch((error: unknown) => {
    console.error(`\nThe demo failed: ${Error.isError(error) ? error.message : String(error)}`);
    process.exitCode = 1;
  });
}
