import { Option, type Command } from 'commander';
import { resolve } from 'node:path';
import type { StartRestoreInput } from '../../api/contract/jobs.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Cli } from '../cli.ts';
import { RATE_OPTION, rateLimitsOf, type RateOptions } from '../options/rate-option.ts';
import { limitsOf, withLimitOptions, type LimitOptions } from '../options/spending-limits.ts';
import { VM_ID_OPTION, type WhichVm } from '../options/which-vm.ts';
import { addBackup } from './backup-command.ts';
import { runJob, withWait, type WaitOptions } from './job-run.ts';

interface VerifyOptions extends WaitOptions, LimitOptions, WhichVm {
  readonly vault?: string;
  readonly level: string;
}

interface RestoreOptions extends WaitOptions, WhichVm, RateOptions {
  readonly vault?: string;
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
  addRestore(program, cli);
  withWait(
    withLimitOptions(program.command('verify'))
      .description('check a recovery point without restoring it')
      .argument('<point>', 'id, or "latest" with --vm')
      .option('--vm <name>', 'whose latest')
      .option(...VM_ID_OPTION)
      .option('--vault <name>')
      .addOption(
        new Option(
          '--level <0-3>',
          '0: packs exist; 1: also map and seals; 2: also every byte; 3: also every chunk id',
        )
          .choices(['0', '1', '2', '3'])
          .default('3'),
      ),
  ).action(async (point: string, options: VerifyOptions) => {
    const level = Number(options.level) as 0 | 1 | 2 | 3;
    const body = { ...whichPoint(point, options), level, limits: limitsOf(options) };
    await cli.answer(options, runJob(cli, { route: 'startVerification', body }, options));
  });
}

function addRestore(program: Command, cli: Cli): void {
  withWait(
    program
      .command('restore')
      .description('bring a VM, or one of its disks, back as new files')
      .argument('<point>', 'id, or "latest" with --vm')
      .option('--vm <name>', 'whose latest')
      .option(...VM_ID_OPTION)
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
      .option(...RATE_OPTION)
      .option('--no-add', 'write the disks, but do not add the VM')
      .option('--start', 'start the VM afterwards'),
  ).action(async (point: string, options: RestoreOptions) => {
    const body = restoreRequest(point, options, cli.environment.workingFolder);
    await cli.answer(options, runJob(cli, { route: 'startRestore', body }, options));
  });
}

function whichPoint(
  point: string,
  { vm, vmId, vault }: WhichVm & { readonly vault?: string },
): { point?: string; vm?: string; vmId?: string; vault?: string } {
  const where = vault === undefined ? {} : { vault };
  if (point !== 'latest') {
    return { point: point.toUpperCase(), ...where };
  }
  if (vm === undefined && vmId === undefined) {
    throw new Fault(
      'request.invalid',
      '"latest" needs --vm: the latest recovery point of which VM?',
    );
  }
  return { ...(vm !== undefined && { vm }), ...(vmId !== undefined && { vmId }), ...where };
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
    return { kind: 'disk', ...which, disk, file: path, ...shape, ...rateLimitsOf(options) };
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
    ...rateLimitsOf(options),
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
