import { Option, type Command } from 'commander';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AddVm,
  type AcceptDisks,
  type AcceptedDisks,
  type AddVmInput,
  type Vm,
} from '../../api/contract/vms.ts';
import { formatBytes } from '../../kernel/text/bytes.ts';
import { schemaProblems } from '../../kernel/text/schema-problems.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { readInput } from '../options/input-file.ts';
import type { Outcome } from '../outcome.ts';
import { formatTable } from '../terminal/table.ts';
import { showVm } from './show-commands.ts';
import { addVmTag } from './vm-tag.ts';
import { unmergedText } from './vm-text.ts';

const DEFINITION = {
  what: 'definition',
  code: 'vm.definition-invalid',
  charactersMax: 1024 * 1024,
} as const;

/** How often to check whether the layers of a VM are merged. */
const MERGE_LOOK_MS = 500;

type StopOptions = CommonOptions & { readonly force?: boolean; readonly wait?: boolean };
type ListOptions = CommonOptions & { readonly unprotected?: boolean; readonly gone?: boolean };
type Yes = CommonOptions & { readonly yes?: boolean };
type AcceptOptions = Yes & { readonly keep?: 'image' | 'chain'; readonly dryRun?: boolean };

export function addVmCommands(program: Command, cli: Cli): void {
  const vm = program.command('vm').description('the VMs that Hyperkeep runs and protects');
  vm.command('add')
    .description('take a VM over, by its definition (JSON); "-" reads standard input')
    .argument('<file>')
    .action(async (file: string, options: CommonOptions) => {
      await cli.answer(options, addVm(cli, file));
    });
  vm.command('list')
    .description('the VMs of all hosts on the database, and the policies that protect them')
    .option('--unprotected', 'only those that no policy protects')
    .option('--gone', 'also those that their hosts no longer have')
    .action(async (options: ListOptions) => {
      await cli.answer(options, listVms(cli, options));
    });
  vm.command('show')
    .description('one VM: its disks, and its newest recovery points')
    .argument('<vm>', 'name, id or the beginning of it')
    .action(async (vm: string, options: CommonOptions) => {
      await cli.answer(options, showVm(cli, vm));
    });
  addVmTag(vm, cli);
  vm.command('start')
    .description('start a VM; a definition file is added first')
    .argument('<vm>', 'name, id or definition file (.json)')
    .action(async (vm: string, options: CommonOptions) => {
      await cli.answer(options, startVm(cli, vm));
    });
  vm.command('stop')
    .description('ask the guest to shut down')
    .argument('<vm>', 'name or id')
    .option('--force', 'power off when the guest does not')
    .option('--wait', 'end when the image of each disk is the whole disk')
    .action(async (vm: string, options: StopOptions) => {
      await cli.answer(options, stopVm(cli, vm, options));
    });
  vm.command('accept')
    .description('go on with disks whose image was replaced or written under their overlays')
    .argument('<vm>', 'name or id')
    .addOption(
      new Option(
        '--keep <what>',
        'the image as it is now (overlays are set aside), or the chain of image and overlays',
      ).choices(['image', 'chain']),
    )
    .option('--dry-run', 'only show what there is to decide')
    .option('--yes', 'do not ask')
    .action(async (vm: string, options: AcceptOptions) => {
      await acceptDisks(cli, vm, options);
    });
  vm.command('release')
    .description('put a VM back to plain disks without Hyperkeep; its recovery points stay')
    .argument('<vm>', 'name or id')
    .option('--yes', 'do not ask')
    .action(async (vm: string, options: Yes) => {
      await cli.confirm(`Release ${vm}? It will not be backed up any more.`, options);
      await cli.answer(options, releaseVm(cli, vm));
    });
  vm.command('destroy')
    .description('power off and remove a VM with its disks; its recovery points stay')
    .argument('<vm>', 'its name')
    .option('--yes', 'do not ask')
    .action(async (vm: string, options: Yes) => {
      await cli.confirm(`Destroy ${vm} and its disks? This cannot be undone.`, options);
      await cli.answer(options, destroyVm(cli, vm));
    });
}

async function addVm(cli: Cli, file: string): Promise<Outcome> {
  const body = await readDefinition(cli, file);
  const vm = await (await cli.service()).call('addVm', { body }, cli.signal);
  return { document: vm, text: vmText(`VM ${vm.name} added`, vm) };
}

async function startVm(cli: Cli, nameOrFile: string): Promise<Outcome> {
  const service = await cli.service();
  let vm = nameOrFile;
  if (nameOrFile.endsWith('.json') || nameOrFile.includes('/')) {
    const body = await readDefinition(cli, nameOrFile);
    vm = (await service.call('addVm', { body }, cli.signal)).id;
  }
  const started = await service.call('startVm', { path: { vm } }, cli.signal);
  return { document: started, text: vmText(`VM ${started.name} is ${started.status}`, started) };
}

/** Asks again and again instead of waiting for one answer, because a merge may take hours. */
async function stopVm(cli: Cli, name: string, { force, wait }: StopOptions): Promise<Outcome> {
  const service = await cli.service();
  const call = { path: { vm: name }, body: { force: force === true } };
  let vm = await service.call('stopVm', call, cli.signal);
  while (wait === true && vm.unmerged.some(({ isMerging }) => isMerging)) {
    await delay(MERGE_LOOK_MS, undefined, { signal: cli.signal });
    vm = await service.call('getVm', { path: { vm: vm.id } }, cli.signal);
  }
  return { document: vm, text: vmText(`VM ${vm.name} is ${vm.status}`, vm) };
}

async function readDefinition(cli: Cli, file: string): Promise<AddVmInput> {
  const text = await readInput(cli, file, DEFINITION);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Fault(
      'vm.definition-invalid',
      `${file} is not JSON: ${(error as Error).message}.`,
      { file },
      { cause: error },
    );
  }
  const parsed = AddVm.safeParse(value);
  if (!parsed.success) {
    const problems = schemaProblems(parsed.error, 'definition', Infinity);
    throw new Fault('vm.definition-invalid', `${file}: ${problems}.`, { file });
  }
  return parsed.data;
}

function vmText(headline: string, vm: Vm): string {
  const warnings = vm.warnings.map((warning) => `  note: ${warning}\n`);
  return `${headline}.\n${warnings.join('')}${unmergedText([vm])}`;
}

async function listVms(cli: Cli, { unprotected = false, gone }: ListOptions): Promise<Outcome> {
  const query = {
    ...(unprotected ? { unprotected: 'true' } : {}),
    ...(gone === true ? { gone: 'true' } : {}),
  };
  const answer = await (await cli.service()).call('listVms', { query }, cli.signal);
  const row = (vm: Vm): string[] => [
    vm.name,
    vm.goneAtMs === undefined ? vm.status : `gone since ${cli.time(vm.goneAtMs)}`,
    hostText(cli, vm),
    (vm.definition?.disks ?? [])
      .map(({ name, sizeBytes }) => `${name} ${formatBytes(sizeBytes)}`)
      .join(', '),
    policiesText(vm),
    (vm.tags ?? []).join(', '),
    vm.id,
    vm.warnings.join('; '),
  ];
  const titles = ['NAME', 'STATUS', 'HOST', 'DISKS', 'PROTECTED BY', 'TAGS', 'ID', 'NOTES'];
  const columns = titles.map((title) => ({
    title,
  }));
  return {
    document: answer,
    text:
      answer.vms.length === 0
        ? noVms(unprotected)
        : formatTable(columns, answer.vms.map(row)) + unmergedText(answer.vms),
  };
}

function noVms(unprotected: boolean): string {
  return unprotected
    ? 'Every VM is protected by a policy.\n'
    : 'No VMs yet. Add one with: hyperkeep vm add FILE\n';
}

function policiesText({ policies }: Vm): string {
  return policies === undefined ? 'not known now' : policies.join(', ') || 'nothing';
}

function hostText(cli: Cli, { host }: Vm): string {
  if (host === undefined) {
    return '';
  }
  return host.isLate ? `${host.name} (not seen since ${cli.time(host.lastSeenMs)})` : host.name;
}

async function acceptDisks(cli: Cli, vm: string, options: AcceptOptions): Promise<void> {
  const { keep, dryRun = false } = options;
  const call = async (body: AcceptDisks) =>
    (await cli.service()).call('acceptDisks', { path: { vm }, body }, cli.signal);
  if (dryRun) {
    const planned = await call({ dryRun });
    await cli.answer(options, Promise.resolve({ document: planned, text: choices(vm, planned) }));
    return;
  }
  if (keep === undefined) {
    throw new Fault('request.invalid', 'Say what to keep: --keep image or --keep chain.');
  }
  await cli.confirm(
    keep === 'image'
      ? `Go on with the images of ${vm} as they are, and set the overlays on them aside?`
      : `Go on with the images of ${vm} as they are, under the overlays written on them before?`,
    options,
  );
  const accepted = await call({ keep, dryRun });
  const text = acceptedText(vm, keep, accepted);
  await cli.answer(options, Promise.resolve({ document: accepted, text }));
}

const NOTHING_TO_DECIDE = 'There is nothing to decide; its disks are what Hyperkeep knows.\n';

function choices(vm: string, { disks }: AcceptedDisks): string {
  const blocks = disks.map(({ name, imagePath, signs, overlays }) => {
    const asides = overlays.map(
      ({ path, bytes, setAsideAs }) =>
        `      ${path} (${formatBytes(bytes)})\n      becomes ${setAsideAs}\n`,
    );
    return [
      `Disk ${name}: ${imagePath} is not what its overlay was made on (${signs.join(', ')}).\n`,
      `  --keep image: the disk is this image. Set aside, not deleted:\n${asides.join('')}`,
      '  --keep chain: the disk is this image with the overlay on it. Right if only its place,\n',
      '      owner or mode changed; data of two moments mixed if its content did.\n',
    ].join('');
  });
  const next = `Choose with: hyperkeep vm accept ${vm} --keep image|chain\n`;
  return disks.length === 0 ? NOTHING_TO_DECIDE : `${blocks.join('')}${next}`;
}

function acceptedText(vm: string, keep: 'image' | 'chain', { disks }: AcceptedDisks): string {
  const lines = disks.map(({ name, imagePath, overlays }) => {
    const asides = overlays.map(({ setAsideAs }) => `    set aside: ${setAsideAs}\n`);
    return keep === 'image'
      ? `  ${name} is ${imagePath}\n${asides.join('')}`
      : `  ${name} is ${imagePath} with its overlays\n`;
  });
  return disks.length === 0
    ? NOTHING_TO_DECIDE
    : `The disks of ${vm} are accepted; the next backup reads them whole.\n${lines.join('')}`;
}

async function releaseVm(cli: Cli, vm: string): Promise<Outcome> {
  const released = await (await cli.service()).call('releaseVm', { path: { vm } }, cli.signal);
  const disks = released.definition.disks.map(({ name, path }) => `  ${name}: ${path}\n`);
  return {
    document: released,
    text: `VM ${released.definition.name} is released; its disks are plain images now:\n${disks.join('')}`,
  };
}

async function destroyVm(cli: Cli, vm: string): Promise<Outcome> {
  const service = await cli.service();
  const { id, name } = await service.call('getVm', { path: { vm } }, cli.signal);
  await service.call('destroyVm', { path: { vm: id }, query: { confirm: name } }, cli.signal);
  return {
    document: { destroyed: id, name },
    text: `VM ${name} and its disks are gone. Its recovery points stay: hyperkeep points --vm ${name}\n`,
  };
}
