// npm run soak -- backup-cycles [--minutes N]
//
// Freeze, back up, merge and restore under a writing guest for as long as asked. Every recovery
// point is restored at once and compared with what qemu-img read when it was frozen.
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { BackupLab } from '../support/guest/backup-lab.ts';
import { checkJournal } from '../support/guest/guest.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' } } });
const endsAtMs = performance.now() + Number(values.minutes) * 60_000;

await using lab = await BackupLab.create({ dataBytes: 256 * 1024 * 1024, writerPauseMs: 20 });
await lab.engine.start(lab.definition.id, lab.signal);
await lab.serial.waitForReady();
const target = await lab.addVault();
let cycles = 0;
while (performance.now() < endsAtMs) {
  const jobId = randomUUID();
  const line = await lab.serial.lastJournalLine();
  const { point, guestFrozenMs, transactionMs } = await lab.backUp(target, jobId);
  const file = await lab.restore(target, point, 'data');
  const isEqual = (await lab.hash(file)) === lab.frozenHashes.get(jobId)?.['data'];
  const { problems } = await checkJournal(file, line);
  await rm(file);
  if (!isEqual || problems.length > 0) {
    throw new Error(`cycle ${String(cycles)}: equal ${String(isEqual)}, ${problems.join('; ')}`);
  }
  cycles += 1;
  const how = point.disks.map(({ method }) => method).join(', ');
  console.log(
    `cycle ${String(cycles)}: right (${how}; frozen ${guestFrozenMs.toFixed(0)} ms, transaction ${transactionMs.toFixed(1)} ms)`,
  );
}
console.log(`${String(cycles)} cycles, all right`);
