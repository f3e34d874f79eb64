import type { Command } from 'commander';
import { EXIT_CODES, Fault, FAULTS, type FaultCode } from '../../kernel/fault.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { FAULT_ADVICE } from '../faults/fault-advice.ts';
import type { Outcome } from '../outcome.ts';

export function addExplainCommand(program: Command, cli: Cli): void {
  program
    .command('explain')
    .description('say what an error code means for the data and what to do')
    .argument('<code>', 'such as store.full')
    .action(async (code: string, options: CommonOptions) => {
      await cli.answer(options, Promise.resolve(explain(code)));
    });
}

function explain(code: string): Outcome {
  if (!Object.hasOwn(FAULTS, code)) {
    throw new Fault('request.invalid', `There is no error code "${code}". docs/errors.md has all.`);
  }
  const { kind, retry } = FAULTS[code as FaultCode];
  const { happened = '', data = '', next = '' } = FAULT_ADVICE[code as FaultCode] ?? {};
  const exitCode = EXIT_CODES[kind];
  return {
    document: { code, kind, exitCode, retry, happened, data, next },
    text: `${code} (${kind}, exit ${String(exitCode)})\n  What happened: ${happened}\n  Your data: ${data}\n  Next step: ${next}\n`,
  };
}
