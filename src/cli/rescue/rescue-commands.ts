import { Option, type Command } from 'commander';
import type { Cli } from '../cli.ts';
import { compressionOption } from '../options/compression-option.ts';
import { RATE_OPTION } from '../options/rate-option.ts';
import { withRetentionOptions } from '../options/retention-options.ts';
import { VM_ID_OPTION, withWhichVm } from '../options/which-vm.ts';
import type { CopyOptions } from './copy-vault.ts';
import type { CreateOptions } from './create-vault.ts';
import type { ImportOptions } from './import/import-images.ts';
import { addKeyCommands } from './keys/key-commands.ts';
import type { ListOptions } from './points/point-list.ts';
import type { ExportOptions } from './points/export-point.ts';
import type { RestoreOptions } from './points/restore-point.ts';
import { addProofCommands } from './proof/proof-commands.ts';
import { addRetentionCommands } from './points/retention-commands.ts';
import { withSpendingOptions, type PricesOptions } from './spending-options.ts';
import { placeOption, vaultOptions, type AddOptions } from './vault-place-options.ts';
import type { VerifyOptions } from './points/verify-points.ts';

const FORMATS = ['raw', 'qcow2'];

/*
 * Each command loads what it needs when it runs: the S3 client alone takes half a second.
 */

/** Adds commands that need only the vault and its passphrase: no service, no database. */
export function addRescueCommands(program: Command, cli: Cli): void {
  const { at, opened, spent } = vaultOptions(cli.environment.vaultDefaults ?? {});
  const rescue = program
    .command('rescue')
    .description('work on a vault alone: no service and no database, only the passphrase');
  withRetentionOptions(
    at(rescue.command('create').description('create a vault and its recovery file'))
      .option('--name <name>', 'default: the last part of the location')
      .option('--recovery-file <path>', 'default: hyperkeep-recovery-NAME.txt in this folder')
      .option('--generate-passphrase', 'generate a strong passphrase and show it once')
      .option('--single-writer', 'accept a network file system or a caching store'),
  ).action(async (options: CreateOptions) => {
    const { createVault } = await import('./create-vault.ts');
    await cli.answer(options, createVault(cli, options));
  });
  spent(rescue.command('import').description('make a recovery point of disk images'))
    .argument('<files...>', 'raw or qcow2 images, one per disk')
    .option('--vm <name>', 'the VM they belong to; the same name again continues it')
    .option('--vm-id <id>', 'a VM of the vault that they continue, by its id')
    .option('--disk-name <name...>', 'names of the disks in order; default disk0, disk1, …')
    .addOption(
      new Option(
        '--format <format>',
        'default: by the file name; asks where the content differs',
      ).choices(FORMATS),
    )
    .option('--definition <file>', 'the VM as JSON: memory, firmware, network')
    .addOption(compressionOption())
    .option('--single-writer', 'accept a network file system or a caching store')
    .action(async (files: string[], options: ImportOptions) => {
      const diskName = (options as Partial<ImportOptions>).diskName ?? [];
      const { importImages } = await import('./import/import-images.ts');
      await cli.answer(options, importImages(cli, files, { ...options, diskName }));
    });
  withWhichVm(
    first(
      opened(rescue.command('points')).description(
        'the recovery points in the vault, oldest first',
      ),
    ),
    'of this VM only',
  ).action(async (options: ListOptions) => {
    const { listPoints } = await import('./points/point-list.ts');
    await cli.answer(options, listPoints(cli, options));
  });
  addRestore(rescue, cli, spent);
  addExport(rescue, cli, spent);
  addCopy(rescue, cli);
  addProofCommands(rescue, cli, { at, spent });
  addRetentionCommands(rescue, cli, { opened, spent });
  addKeyCommands(rescue, cli, opened);
  first(spent(rescue.command('verify').description('check recovery points without restoring them')))
    .argument('[point]', 'id, its beginning, or "latest"; all of them if left out')
    .option('--vm <name>', 'of this VM only')
    .option(...VM_ID_OPTION)
    .option(
      '--level <0-3>',
      '0: packs exist; 1: also map and seals; 2: also every byte; 3: also every chunk id',
      '3',
    )
    .action(async (point: string | undefined, options: VerifyOptions) => {
      const { verifyPoints } = await import('./points/verify-points.ts');
      await cli.answer(options, verifyPoints(cli, point, options));
    });
}

function addCopy(rescue: Command, cli: Cli): void {
  const { vault, endpoint } = cli.environment.vaultDefaults ?? {};
  withSpendingOptions(
    rescue.command('copy').description('make or refresh a copy of a vault at another place'),
  )
    .addOption(placeOption('--from <place>', 'the vault: a folder or s3://bucket/prefix', vault))
    .requiredOption('--to <place>', 'the copy: an empty place at first')
    .option('--from-endpoint <url>', 'an S3 service that is not AWS', endpoint)
    .option('--from-region <name>', 'region of the bucket')
    .option('--from-profile <name>', 'profile of the AWS settings with the credentials')
    .option('--to-endpoint <url>', 'the same for the copy')
    .option('--to-region <name>', 'the same for the copy')
    .option('--to-profile <name>', 'the same for the copy')
    .option(...RATE_OPTION)
    .option('--read-back', 'read every object back from the copy and compare it')
    .option('--single-writer', 'accept a network file system or a caching store')
    .option(
      '--prune',
      'remove from the copy what a collection removed from the vault; needs its key',
    )
    .option(
      '--these-points-are-gone <ids...>',
      'for --prune: go on without these points, which should be in the copy and are lost for good',
    )
    .option(
      '--these-objects-are-gone <names...>',
      'for --prune: the same for aliases and holds of the copy',
    )
    .option('--recovery-file <path>', 'for --prune: open the copy with this file')
    .option('--yes', 'remove without asking')
    .option('--dry-run', 'say what would be copied and what it would cost, and stop')
    .action(async (options: CopyOptions) => {
      const { copyVault } = await import('./copy-vault.ts');
      await cli.answer(options, copyVault(cli, options));
    });
  rescue
    .command('prices')
    .description('the price table, as a file for --prices')
    .option('--prices <file>', 'check this one')
    .action(async (options: PricesOptions) => {
      const { showPrices } = await import('./spending-options.ts');
      await cli.answer(options, showPrices(cli, options));
    });
}

function addRestore(rescue: Command, cli: Cli, spent: AddOptions): void {
  first(
    spent(
      rescue
        .command('restore')
        .description('write the disks and the definition of a recovery point as new files'),
    ),
  )
    .argument('<point>', 'id, its beginning, or "latest"')
    .option('--vm <name>', 'whose point; needed for "latest" when the vault holds several VMs')
    .option(...VM_ID_OPTION)
    .requiredOption('--to <folder>', 'where to write; no file is ever overwritten')
    .addOption(new Option('--format <format>', 'of the disks').choices(FORMATS).default('qcow2'))
    .option('--disk <name>', 'this disk only, without a definition')
    .option('--as <name>', 'under a new name, with new ids and MAC addresses')
    .option('--firmware-code <file>', 'UEFI code on this host, for a VM that boots with UEFI')
    .option('--kernel <file>', 'kernel on this host, for a VM that boots one directly')
    .option('--initrd <file>', 'its initial RAM disk')
    .option('--accept-loss', 'fill what is lost with zeroes and say where; else it refuses')
    .option(...RATE_OPTION)
    .option('--no-ids', 'a little faster: do not prove that each chunk is the one backed up')
    .option('--dry-run', 'say what would be written, and stop')
    .action(async (point: string, options: RestoreOptions) => {
      const { restorePoint } = await import('./points/restore-point.ts');
      await cli.answer(options, restorePoint(cli, point, options));
    });
}

function addExport(rescue: Command, cli: Cli, spent: AddOptions): void {
  withWhichVm(
    first(
      spent(
        rescue
          .command('export')
          .description('serve disks of a recovery point, read-only, to any NBD client'),
      ),
    ).argument('<point>', 'id, its beginning, or "latest"'),
    'whose point; needed for "latest" when the vault holds several VMs',
  )
    .option('--disk <name>', 'this disk only')
    .option('--socket <path>', 'where clients connect; default: in a new folder of its own')
    .option(
      '--no-block-status',
      'tell clients nothing about holes: for a QEMU that streams from the disk',
    )
    .action(async (point: string, options: ExportOptions) => {
      const { exportPoint } = await import('./points/export-point.ts');
      await cli.answer(options, exportPoint(cli, point, options));
    });
}

function first(command: Command): Command {
  return command.option(
    '--first-version',
    'read objects as they were first written, whatever was put over them',
  );
}
