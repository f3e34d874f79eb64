import type { Command } from 'commander';
import type { Export } from '../../../api/contract/exports/exports.ts';
import { formatBytes } from '../../../kernel/text/bytes.ts';
import type { Cli, CommonOptions } from '../../cli.ts';
import { VM_ID_OPTION, type WhichVm } from '../../options/which-vm.ts';
import type { Outcome } from '../../outcome.ts';
import { plainText } from '../../terminal/plain-text.ts';
import { formatTable } from '../../terminal/table.ts';

interface OpenOptions extends CommonOptions, WhichVm {
  readonly vault?: string;
  readonly disk?: string;
  readonly blockStatus: boolean;
}

const ID_SHOWN = 8;

export function addExportCommands(program: Command, cli: Cli): void {
  const commands = program
    .command('export')
    .description('disks of recovery points for any NBD client on the host of the service');
  commands
    .command('open', { isDefault: true })
    .description('serve the disks of a point, read-only, until the export is closed')
    .argument('<point>', 'id, or "latest" with --vm')
    .option('--vm <name>', 'whose latest')
    .option(...VM_ID_OPTION)
    .option('--vault <name>')
    .option('--disk <name>', 'this disk only')
    .option(
      '--no-block-status',
      'tell clients nothing about holes: for a QEMU that streams from the disk',
    )
    .action(async (point: string, options: OpenOptions) => {
      await cli.answer(options, openExport(cli, point, options));
    });
  commands
    .command('list')
    .description('what is exported on the host of the service')
    .action(async (options: CommonOptions) => {
      await cli.answer(options, listExports(cli));
    });
  commands
    .command('close')
    .description('end an export; its clients get what they asked for, and no more')
    .argument('<export>', 'id or the beginning of it')
    .action(async (id: string, options: CommonOptions) => {
      await cli.answer(options, closeExport(cli, id));
    });
}

async function openExport(cli: Cli, point: string, options: OpenOptions): Promise<Outcome> {
  const { vm, vmId, vault, disk, blockStatus } = options;
  const which = point === 'latest' ? { vm, vmId } : { point };
  const body = { ...which, vault, disk, blockStatus };
  const opened = await (await cli.service()).call('openExport', { body }, cli.signal);
  const [first] = opened.disks;
  return {
    document: opened,
    text: [
      `Serving ${plainText(opened.vmName)} as of ${opened.pointId}, read-only:\n`,
      ...opened.disks.map(({ name, sizeBytes, uri }) => {
        return `  ${plainText(name)} (${formatBytes(sizeBytes)}): ${uri}\n`;
      }),
      `For example: nbdcopy '${first?.uri ?? ''}' disk.raw\n`,
      `End it with: hyperkeep export close ${opened.id.slice(0, ID_SHOWN)}\n`,
    ].join(''),
  };
}

async function listExports(cli: Cli): Promise<Outcome> {
  const answer = await (await cli.service()).call('listExports', {}, cli.signal);
  const columns = ['ID', 'VM', 'POINT', 'DISK', 'SINCE', 'STATE', 'ADDRESS'];
  const rows = answer.exports.flatMap((each: Export) =>
    each.disks.map(({ name, uri }) => [
      each.id.slice(0, ID_SHOWN),
      each.vmName,
      each.pointId,
      name,
      cli.time(each.startedAtMs),
      each.state === 'serving' ? 'serving' : 'ended, its process is gone',
      uri,
    ]),
  );
  return {
    document: answer,
    text:
      rows.length === 0
        ? 'Nothing is exported.\n'
        : formatTable(
            columns.map((title) => ({ title })),
            rows,
          ),
  };
}

async function closeExport(cli: Cli, id: string): Promise<Outcome> {
  const request = { path: { export: id } };
  const closed = await (await cli.service()).call('closeExport', request, cli.signal);
  const text = `Closed ${closed.id.slice(0, ID_SHOWN)}: ${plainText(closed.vmName)} as of ${closed.pointId}.\n`;
  return { document: closed, text };
}
