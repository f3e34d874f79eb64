import type { Command } from 'commander';

/** Commands that stop something without asking. */
const STOPPING = ['stop', 'cancel'];

/**
 * Removes from Commander's "(Did you mean …?)" every command that stops or removes something,
 * because users may type a suggestion without a second look. Commands that remove ask first, so
 * they have the option `--yes`.
 *
 * @param commands among which the user was choosing
 */
export function withoutHarm(message: string, commands: readonly Command[]): string {
  const harmful = new Set(commands.filter(isHarmful).map((command) => command.name()));
  return message.replace(/\s*\(Did you mean (?:one of )?([^?]+)\?\)/, (_, list: string) => {
    const names = list.split(', ').filter((name) => !harmful.has(name));
    const choice = names.length > 1 ? `one of ${names.join(', ')}` : names.join('');
    return choice === '' ? '' : ` (Did you mean ${choice}?)`;
  });
}

function isHarmful(command: Command): boolean {
  return STOPPING.includes(command.name()) || command.options.some(({ long }) => long === '--yes');
}
