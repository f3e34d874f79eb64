import { Command, CommanderError } from 'commander';
import { Fault } from '../kernel/fault.ts';
import { Cli } from './cli.ts';
import { type CliEnvironment } from './cli-environment.ts';
import { addExplainCommand } from './commands/explain-command.ts';
import { addJobCommands } from './commands/job-commands.ts';
import { addPointCommands } from './commands/point-commands.ts';
import { addVaultCommands } from './commands/vault-commands.ts';
import { addVmCommands } from './commands/vm-commands.ts';
import { reportOf } from './explain-error.ts';
import { reportText } from './fault-report.ts';
import { addRescueCommands } from './rescue/rescue-commands.ts';

const EXIT_OK = 0;

/**
 * Runs one command to its end and answers the exit code. Never throws: what goes wrong is
 * reported on standard error and, with `--json`, also as the document on standard output.
 */
export async function runCli(
  parameters: readonly string[],
  environment: CliEnvironment,
  signal: AbortSignal,
): Promise<number> {
  const { output, errors } = environment.terminal;
  try {
    const program = buildProgram(new Cli(environment, signal));
    await program.parseAsync(parameters, { from: 'user' });
    return EXIT_OK;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === EXIT_OK) {
      return EXIT_OK; // --help and --version end this way.
    }
    const report = reportOf(error instanceof CommanderError ? usageFault(error) : error);
    errors.write(reportText(report));
    if (parameters.includes('--json')) {
      output.write(`${JSON.stringify({ error: report }, undefined, 2)}\n`);
    }
    return report.exitCode;
  }
}

/** Every command there is. */
export function buildProgram(cli: Cli): Command {
  const { terminal } = cli.environment;
  const program = new Command('hyperkeep')
    .description('Backup, snapshot and disaster recovery for virtual machines.')
    .showHelpAfterError(false)
    .configureOutput({
      writeOut: (text) => terminal.output.write(text),
      // Mistakes are reported by runCli, once.
      writeErr: () => undefined,
    })
    .exitOverride()
    .addHelpText('after', () => HELP_AFTER);
  program.version(cli.environment.version, '-V, --version', 'print the version');
  program
    .command('serve')
    .description('run the service: HTTP interface, jobs and engine, until Ctrl-C')
    .action(async () => {
      await cli.environment.serve(cli.signal);
    });
  addVaultCommands(program, cli);
  addVmCommands(program, cli);
  addPointCommands(program, cli);
  addJobCommands(program, cli);
  addRescueCommands(program, cli);
  addExplainCommand(program, cli);
  addJsonOption(program);
  return program;
}

const HELP_AFTER = `
Every command takes --json: one JSON document on standard output.
Exit codes: 0 done, 2 invalid request, 3 denied, 4 not found, 5 conflict, 6 full, 7 unsupported,
8 try later, 9 data is not what was written, 70 bug, 130 Ctrl-C. "hyperkeep explain CODE" tells more.
`;

function addJsonOption(command: Command): void {
  if (command.commands.length === 0 && command.name() !== 'serve') {
    command.option('--json', 'print one JSON document');
  }
  for (const child of command.commands) {
    addJsonOption(child);
  }
}

function usageFault(error: CommanderError): Fault {
  const message = error.message.replace(/^error: /, '');
  const sentence = message === '(outputHelp)' ? 'a command is missing' : message;
  return new Fault(
    'request.invalid',
    `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}. See hyperkeep --help.`,
  );
}
