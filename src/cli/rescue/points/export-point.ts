import { join, resolve } from 'node:path';
import { Fault } from '../../../kernel/fault.ts';
import { rm } from '../../../kernel/files/files.ts';
import { makeTemporaryFolder } from '../../../kernel/files/temporary-folder.ts';
import { READ_AHEAD, ReadAhead } from '../../../disk/read-ahead.ts';
import { NbdServer } from '../../../nbd/serving/nbd-server.ts';
import type { ServedDisk } from '../../../nbd/serving/served-disk.ts';
import type { PointDisk, RecoveryPoint } from '../../../vault/points/recovery-point.ts';
import { disksOf } from '../../../vault/restoring/restore-plan.ts';
import type { Cli } from '../../cli.ts';
import { choosePoint } from '../../options/choose-point.ts';
import type { WhichVm } from '../../options/which-vm.ts';
import type { Outcome } from '../../outcome.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { count, formatDuration } from '../../terminal/quantities.ts';
import { withSpending } from '../spending-options.ts';
import { leased, withVault, type VaultKey } from '../vault-access.ts';

export interface ExportOptions extends VaultKey, WhichVm {
  readonly disk?: string;
  readonly socket?: string;
  /** If false, clients cannot ask which ranges hold data. */
  readonly blockStatus: boolean;
}

/** What Linux takes: `sun_path` has 108 bytes with the NUL. */
const SOCKET_PATH_BYTES_MAX = 107;

/** Serves disks of a recovery point to any NBD client until the command is ended. */
export async function exportPoint(
  cli: Cli,
  asked: string,
  options: ExportOptions,
): Promise<Outcome> {
  const { clock } = cli.environment;
  return await withVault(cli, options, async (vault, spending) => {
    const point = choosePoint(await vault.points(cli.signal), asked, options);
    const disks = disksOf(point, options.disk);
    await using held = new AsyncDisposableStack();
    held.use(await leased(cli, vault, [point], 'an export'));
    const served = new Map<string, ServedDisk>();
    for (const { name, diskId } of disks) {
      const disk = await vault.openDisk(point.id, diskId, cli.signal);
      served.set(name, { reader: held.use(new ReadAhead(disk, READ_AHEAD)) });
    }
    const socketPath = await socketFor(cli, options, held);
    const failures = new Set<string>();
    const server = held.use(
      await NbdServer.listen(socketPath, {
        disks: served,
        structured: options.blockStatus,
        onFailure: (error) => {
          sayOnce(cli, failures, error);
        },
      }),
    );
    const startMs = clock.monotonicMs();
    cli.sayLines(howToRead(point, disks, socketPath));
    await aborted(cli.signal);
    const durationMs = clock.monotonicMs() - startMs;
    await server.close();
    return withSpending(
      {
        document: { pointId: point.id, socketPath, durationMs, failures: [...failures] },
        text: `Served ${count(disks.length, 'disk')} of ${point.id} for ${formatDuration(durationMs)}.\n`,
      },
      spending,
    );
  });
}

/** A client repeats what fails; a person reads it once. */
function sayOnce(cli: Cli, known: Set<string>, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  if (!known.has(message)) {
    known.add(message);
    cli.say(message);
  }
}

/** Returns a path where nothing is, in a folder of this user unless the user chose another. */
async function socketFor(
  cli: Cli,
  { socket }: ExportOptions,
  held: AsyncDisposableStack,
): Promise<string> {
  if (socket === undefined) {
    const folder = await makeTemporaryFolder('hyperkeep-export-');
    held.defer(async () => rm(folder, { recursive: true, force: true }));
    return join(folder, 'nbd.sock');
  }
  const path = resolve(cli.environment.workingFolder, socket);
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new Fault(
      'request.invalid',
      `The path of a socket has at most ${String(SOCKET_PATH_BYTES_MAX)} bytes, and ${path} is longer. Choose a shorter one.`,
    );
  }
  return path;
}

function howToRead(point: RecoveryPoint, disks: readonly PointDisk[], socketPath: string): string {
  const uris = disks.map(
    ({ name }) => `  nbd+unix:///${encodeURIComponent(name)}?socket=${socketPath}\n`,
  );
  const [first = ''] = uris;
  return [
    `Serving ${count(disks.length, 'disk')} of ${plainText(point.vmName)} as of ${point.id}, read-only, until Ctrl-C:\n`,
    ...uris,
    `For example: nbdcopy '${first.trim()}' disk.raw\n`,
  ].join('');
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve: end } = Promise.withResolvers<undefined>();
  signal.addEventListener('abort', () => {
    end(undefined);
  });
  if (!signal.aborted) {
    await promise;
  }
}
