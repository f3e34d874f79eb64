import { Option, type Command } from 'commander';
import { resolve } from 'node:path';
import {
  type Job,
  type StartRestoreInput,
  type StartVerificationInput,
} from '../../api/contract/jobs.ts';
import { type Point } from '../../api/contract/points.ts';
import { formatBytes } from '../../kernel/bytes.ts';
import { Fault } from '../../kernel/fault.ts';
import { type CompressionLevel } from '../../vault/zstd.ts';
import { type Cli, type CommonOptions } from '../cli.ts';
import { compressionOption } from '../compression-option.ts';
import { watchJob } from '../job-watch.ts';
import { type Outcome } from '../outcome.ts';
import { formatTable } from '../table.ts';
import { jobResultText } from './job-text.ts';

interface WaitOptions extends CommonOptions {
  /** False with `--no-wait`. */
  readonly wait: boolean;
}

interface BackupOptions extends WaitOptions {
  readonly vault?: string;
  readonly crashConsistent?: boolean;
  readonly full?: boolean;
  readonly compression?: CompressionLevel;
}

interface PointsOptions extends CommonOptions {
  readonly vm?: string;
  readonly vault?: string;
  readonly refresh?: boolean;
}

interface VerifyOptions extends WaitOptions {
  readonly vm?: string;
  readonly vault?: string;
}

interface RestoreOptions extends VerifyOptions {
  readonly as?: string;
  readonly to?: string;
  readonly disk?: string;
  readonly format?: 'qcow2' | 'raw';
  readonly add: boolean;
  readonly start?: boolean;
  readonly firmwareCode?: string;
  readonly kernel?: string;
  readonly initrd?: string;
}

export function addPointCommands(program: Command, cli: Cli): void {
  addBackup(program, cli);
  program
    .command('points')
    .description('the recovery points, oldest first')
    .option('--vm <name>', 'of this VM only; it may be gone')
    .option('--vault <name>', 'in this vault only')
    .option('--refresh', 'look into the vaults first')
    .action(async (options: PointsOptions) => {
      await cli.answer(options, listPoints(cli, options));
    });
  addRestore(program, cli);
  withWait(
    program
      .command('verify')
      .description('read and authenticate every byte of a recovery point, without restoring it')
      .argument('<point>', 'id, or "latest" with --vm')
      .option('--vm <name>', 'whose latest')
      .option('--vault <name>'),
  ).action(async (point: string, options: VerifyOptions) => {
    const body: StartVerificationInput = whichPoint(point, options);
    await cli.answer(options, runJob(cli, 'startVerification', body, options));
  });
}

function addBackup(program: Command, cli: Cli): void {
  withWait(
    program
      .command('backup')
      .description('take a recovery point of a VM')
      .argument('<vm>', 'name or id')
      .option('--vault <name>', 'needed when there are several')
      .option('--crash-consistent', 'do not ask the guest to flush its file systems')
      .option('--full', 'read every disk whole, whatever the change tracking says')
      .addOption(compressionOption()),
  ).action(async (vm: string, options: BackupOptions) => {
    const body = {
      vm,
      ...(options.vault === undefined ? {} : { vault: options.vault }),
      crashConsistent: options.crashConsistent === true,
      full: options.full === true,
      ...(options.compression && { compressionLevel: options.compression }),
    };
    await cli.answer(options, runJob(cli, 'startBackup', body, options));
  });
}

function addRestore(program: Command, cli: Cli): void {
  withWait(
    program
      .command('restore')
      .description('bring a VM, or one of its disks, back as new files')
      .argument('<point>', 'id, or "latest" with --vm')
      .option('--vm <name>', 'whose latest')
      .option('--vault <name>')
      .option('--as <name>', 'under a new name, with new ids and MAC addresses')
      .option('--to <path>', 'folder for the disks; with --disk the file to write')
      .option('--disk <name>', 'this disk only')
      .addOption(new Option('--format <format>').choices(['qcow2', 'raw']))
      .option(
        '--firmware-code <file>',
        "UEFI code on the service's host, if it must be another one",
      )
      .option('--kernel <file>', 'kernel to boot, likewise')
      .option('--initrd <file>', 'its initial RAM disk')
      .option('--no-add', 'write the disks, but do not add the VM')
      .option('--start', 'start the VM afterwards'),
  ).action(async (point: string, options: RestoreOptions) => {
    const body = restoreRequest(point, options, cli.environment.workingFolder);
    await cli.answer(options, runJob(cli, 'startRestore', body, options));
  });
}

function withWait(command: Command): Command {
  return command
    .option('--wait', 'until it is done, showing progress (default)', true)
    .option('--no-wait', 'only start it and print the job');
}

function whichPoint(
  point: string,
  { vm, vault }: { readonly vm?: string; readonly vault?: string },
): { point?: string; vm?: string; vault?: string } {
  const where = vault === undefined ? {} : { vault };
  if (point !== 'latest') {
    return { point: point.toUpperCase(), ...where };
  }
  if (vm === undefined) {
    throw new Fault(
      'request.invalid',
      '"latest" needs --vm: the latest recovery point of which VM?',
    );
  }
  return { vm, ...where };
}

function restoreRequest(
  point: string,
  options: RestoreOptions,
  workingFolder: string,
): StartRestoreInput {
  const { to, disk, as, format } = options;
  const which = whichPoint(point, options);
  const path = to === undefined ? undefined : resolve(workingFolder, to);
  const shape = format === undefined ? {} : { format };
  if (disk !== undefined) {
    if (path === undefined) {
      throw new Fault('request.invalid', 'One disk needs --to FILE: where to write it.');
    }
    return { kind: 'disk', ...which, disk, file: path, ...shape };
  }
  return {
    kind: 'vm',
    ...which,
    ...(as === undefined ? {} : { name: as }),
    ...(path === undefined ? {} : { folder: path }),
    ...shape,
    bootFiles: bootFiles(options, workingFolder),
    add: options.add,
    start: options.start === true,
  };
}

function bootFiles(
  { firmwareCode, kernel, initrd }: RestoreOptions,
  workingFolder: string,
): NonNullable<(StartRestoreInput & { kind: 'vm' })['bootFiles']> {
  return {
    ...(firmwareCode === undefined ? {} : { codePath: resolve(workingFolder, firmwareCode) }),
    ...(kernel === undefined ? {} : { kernelPath: resolve(workingFolder, kernel) }),
    ...(initrd === undefined ? {} : { initrdPath: resolve(workingFolder, initrd) }),
  };
}

async function runJob(
  cli: Cli,
  route: 'startBackup' | 'startRestore' | 'startVerification',
  body: unknown,
  { wait }: WaitOptions,
): Promise<Outcome> {
  const service = await cli.service();
  const started: Job = await service.call(route, { body }, cli.signal);
  if (!wait) {
    return {
      document: started,
      text: `Job ${started.id} is ${started.state}. Follow it with: hyperkeep jobs show ${started.id} --wait\n`,
    };
  }
  const job = await watchJob(cli, service, started);
  return { document: job, text: jobResultText(job) };
}

async function listPoints(cli: Cli, { vm, vault, refresh }: PointsOptions): Promise<Outcome> {
  const query = { vm, vault, ...(refresh === true ? { refresh: 'true' } : {}) };
  const answer = await (await cli.service()).call('listPoints', { query }, cli.signal);
  const columns = [
    { title: 'POINT' },
    { title: 'VM' },
    { title: 'TAKEN' },
    { title: 'VAULT' },
    { title: 'DISKS' },
    { title: 'READ', align: 'right' as const },
    { title: 'STORED', align: 'right' as const },
    { title: 'CONSISTENCY' },
  ];
  const row = (point: Point): string[] => [
    point.id,
    point.vmName,
    cli.time(point.takenAtMs),
    point.vaultName,
    point.disks.map(({ name, sizeBytes }) => `${name} ${formatBytes(sizeBytes)}`).join(', '),
    formatBytes(point.disks.reduce((sum, { readBytes }) => sum + readBytes, 0)),
    formatBytes(point.disks.reduce((sum, { storedBytes }) => sum + storedBytes, 0)),
    point.consistency,
  ];
  return {
    document: answer,
    text:
      answer.points.length === 0
        ? 'No recovery points. Take one with: hyperkeep backup VM\n'
        : formatTable(columns, answer.points.map(row)),
  };
}
