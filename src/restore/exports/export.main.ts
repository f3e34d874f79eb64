/**
 * The process of an export: serves disks of a recovery point on a socket in its folder, until it is
 * told to end. It outlives the service, so that its clients do not notice a restart.
 *
 * Called as `export.main.ts FOLDER`; gets an ExportOrder on standard input and answers with an
 * ExportReport on standard output. Standard error is its log. SIGTERM ends it in order: what was
 * asked for is answered, the lease on the point is given back, and the folder is removed.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { SystemClock } from '../../kernel/clock.ts';
import { isFault } from '../../kernel/fault.ts';
import { rm, writeFile } from '../../kernel/files/files.ts';

import { READ_AHEAD, ReadAhead } from '../../disk/read-ahead.ts';
import { NbdServer } from '../../nbd/serving/nbd-server.ts';
import type { ServedDisk } from '../../nbd/serving/served-disk.ts';
import { openObjectStore } from '../../vault/object-stores/location.ts';
import { placeOptions } from '../../vault/object-stores/place-options.ts';
import { HeldLease } from '../../vault/records/held-lease.ts';
import { Vault } from '../../vault/vault.ts';
import { EXPORT_PID, EXPORT_SOCKET, ExportOrder, type ExportReport } from './export-order.ts';
import { LineLog } from './line-log.ts';

/** Clients wait while the store is away, as for a disk that is slow. */
const STORE_PATIENCE_MS = 24 * 3_600_000;

const [folder = ''] = process.argv.slice(2);
const log = new LineLog(process.stderr);
const ending = new AbortController();

function report(said: ExportReport): void {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

async function serve(order: ExportOrder, told: Promise<unknown>): Promise<void> {
  const { signal } = ending;
  const { place, key, pointId, disks, blockStatus: structured, cacheFolder, reader } = order;
  await using held = new AsyncDisposableStack();
  const retry = { patienceMs: STORE_PATIENCE_MS };
  const store = held.adopt(
    await openObjectStore(place.location, { ...placeOptions(place), retry }, signal),
    (opened) => opened.close(),
  );
  const unlock = { kind: 'master-key', key: Buffer.from(key, 'base64') } as const;
  const options = { clock: new SystemClock(), log, reader, ...(cacheFolder && { cacheFolder }) };
  const vault = held.adopt(await Vault.open(store, unlock, options, signal), (opened) =>
    opened.close(),
  );
  const point = await vault.point(pointId, signal);
  held.use(await HeldLease.take(vault.inside, [point], { purpose: 'an export' }, signal));
  const served = new Map<string, ServedDisk>();
  for (const { name, diskId } of disks) {
    const disk = await vault.openDisk(pointId, diskId, signal);
    served.set(name, { reader: held.use(new ReadAhead(disk, READ_AHEAD)) });
  }
  const onFailure = (error: unknown): void => {
    log.warn('export.request-failed', { error });
  };
  const socketPath = join(folder, EXPORT_SOCKET);
  const server = held.use(
    await NbdServer.listen(socketPath, { disks: served, structured, onFailure }),
  );
  await writeFile(join(folder, EXPORT_PID), String(process.pid));
  report({ said: 'serving' });
  await told;
  await server.close();
}

const told = once(process, 'SIGTERM');
try {
  await serve(ExportOrder.parse(JSON.parse(await text(process.stdin))), told);
  await rm(folder, { recursive: true, force: true });
} catch (error) {
  log.error('export.failed', { error });
  const [code, message] = isFault(error)
    ? [error.code, error.message]
    : ['internal', error instanceof Error ? error.message : String(error)];
  report({ said: 'failed', code, message });
  process.exitCode = 1;
}
