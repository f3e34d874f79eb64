import { Command, Option, CommanderError } from 'commander';
import { Fault } from '../kernel/fault.ts';
import { Cli } from './cli.ts';
import type { CliEnvironment } from './cli-environment.ts';
import { addExplainCommand } from './commands/explain-command.ts';
import { addCollectorCommands } from './commands/collector-commands.ts';
import { addJobCommands } from './commands/job-commands.ts';
import { addPointCommands } from './commands/point-commands.ts';
import { addCatalogCommands } from './commands/policies/catalog-commands.ts';
import { addPolicyCommands } from './commands/policies/policy-commands.ts';
import { addCareCommands } from './commands/policies/care-commands.ts';
import { addRunCommands } from './commands/policies/run-commands.ts';
import { addStatusCommand } from './commands/policies/status-command.ts';
import { addRetentionCommands } from './commands/retention-commands.ts';
import { addSuspicionCommands } from './commands/policies/suspicion-commands.ts';
import { addTokenCommands } from './commands/token-commands.ts';
import { addVaultCommands } from './commands/vault-commands.ts';
import { addExportCommands } from './commands/exports/export-commands.ts';
import { addHostCommands } from './commands/inventory/host-commands.ts';
import { addVmCommands } from './commands/vm-commands.ts';
import { reportOf } from './faults/explain-error.ts';
import { reportText } from './faults/fault-report.ts';
import { FailedInPart } from './outcome.ts';
import { addRescueCommands } from './rescue/rescue-commands.ts';
import { withoutHarm } from './faults/suggestion.ts';

const EXIT_OK = 0;

/**
 * Runs one command and returns its exit code. Never throws: failures are reported on standard error
 * and, with `--json`, also as the document on standard output.
 */
export async function runCli(
  parameters: readonly string[],
  environment: CliEnvironment,
  signal: AbortSignal,
): Promise<number> {
  const { output, errors } = environment.terminal;
  const cli = new Cli(environment, signal);
  const program = buildProgram(cli);
  try {
    await program.parseAsync(parameters, { from: 'user' });
    return cli.exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === EXIT_OK) {
      return EXIT_OK; // --help and --version end this way.
    }
    const report = reportOf(
      error instanceof CommanderError ? usageFault(error, typed(program, parameters)) : error,
    );
    if (!isHelp(error)) {
      errors.write(reportText(report));
    }
    if (parameters.includes('--json')) {
      const more = error instanceof FailedInPart ? error.document : {};
      output.write(`${JSON.stringify({ error: report, ...more }, undefined, 2)}\n`);
    }
    return report.exitCode;
  }
}

/** Commander has printed the help of a command that needs a subcommand, which is enough. */
function isHelp(error: unknown): boolean {
  return error instanceof CommanderError && error.code === 'commander.help';
}

/** Makes the program with every command. */
export function buildProgram(cli: Cli): Command {
  const { terminal } = cli.environment;
  const program = new Command('hyperkeep')
    .description('Backup, snapshot and disaster recovery for virtual machines.')
    .showHelpAfterError(false)
    .configureOutput({
      writeOut: (text) => terminal.output.write(text),
      writeErr: (text) => terminal.errors.write(text),
      // runCli reports mistakes, once.
      outputError: () => undefined,
    })
    .exitOverride()
    .addHelpText('after', () => HELP_AFTER);
  program.version(cli.environment.version, '-V, --version', 'print the version');
  program
    .command('serve')
    .description('run the service: HTTP interface, jobs and engine, until Ctrl-C')
    .addOption(
      new Option(
        '--role <role>',
        'collector: no VMs; give up what services of other machines decided, within floors of its own',
      ).choices(['collector']),
    )
    .option('--migrate', 'wait until services of older versions have left the database')
    .action(async ({ role, migrate = false }: { role?: 'collector'; migrate?: boolean }) => {
      await cli.environment.serve(cli.signal, { role, waitsForOlder: migrate });
    });
  addVaultCommands(program, cli);
  addVmCommands(program, cli);
  addExportCommands(program, cli);
  addHostCommands(program, cli);
  addPolicyCommands(program, cli);
  addRunCommands(program, cli);
  addCareCommands(program, cli);
  addCatalogCommands(program, cli);
  addCollectorCommands(program, cli);
  addStatusCommand(program, cli);
  addSuspicionCommands(program, cli);
  addPointCommands(program, cli);
  addRetentionCommands(program, cli);
  addJobCommands(program, cli);
  addTokenCommands(program, cli);
  addRescueCommands(program, cli);
  addExplainCommand(program, cli);
  addJsonOption(program);
  return program;
}

const HELP_AFTER = `
Every command takes --json: one JSON document on standard output.
Exit codes: 0 done, 1 a VM is not well (status), 2 invalid request, 3 denied, 4 not found, 5 conflict, 6 full, 7 unsupported,
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

/** Returns the command that the user was typing, and those that it is part of. */
function typed(program: Command, parameters: readonly string[]): Command[] {
  const path = [program];
  for (const word of parameters) {
    const child = path.at(-1)?.commands.find((candidate) => candidate.name() === word);
    if (child === undefined) {
      break;
    }
    path.push(child);
  }
  return path;
}

function usageFault(error: CommanderError, path: readonly Command[]): Fault {
  const { commands = [] } = path.at(-1) ?? {};
  const message = withoutHarm(error.message, commands)
    .replace(/^error: /, '')
    .replace(/\.$/, '')
    .replaceAll('\n', ' ');
  const sentence = isHelp(error) ? 'a command is missing' : message;
  const command = path.map((part) => part.name()).join(' ');
  return new Fault(
    'request.invalid',
    `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}. See ${command} --help.`,
  );
}
