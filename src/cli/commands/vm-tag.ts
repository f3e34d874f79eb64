import type { Command } from 'commander';
import type { Cli, CommonOptions } from '../cli.ts';
import type { Outcome } from '../outcome.ts';

type TagOptions = CommonOptions & { readonly remove?: boolean };

export function addVmTag(vm: Command, cli: Cli): void {
  vm.command('tag')
    .description('give a VM tags, by which policies choose it, or take them away')
    .argument('<vm>', 'name or id')
    .argument('<tags...>', 'words such as production or tier:1')
    .option('--remove', 'take these tags away')
    .action(async (name: string, tags: string[], options: TagOptions) => {
      await cli.answer(options, tagVm(cli, name, tags, options));
    });
}

async function tagVm(
  cli: Cli,
  name: string,
  tags: string[],
  { remove }: TagOptions,
): Promise<Outcome> {
  const body = remove === true ? { remove: tags } : { add: tags };
  const call = { path: { vm: name }, body };
  const vm = await (await cli.service()).call('changeTags', call, cli.signal);
  const all = vm.tags ?? [];
  const text = `VM ${vm.name} has ${all.length === 0 ? 'no tags' : `the tags ${all.join(', ')}`}.\n`;
  return { document: vm, text };
}
