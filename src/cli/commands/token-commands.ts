import { type Command, Option } from 'commander';
import { Scope, type Token } from '../../api/contract/tokens.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import type { Outcome } from '../outcome.ts';
import { parseDays } from '../terminal/amounts.ts';
import { formatTable } from '../terminal/table.ts';

/** Days after which a token expires if nobody says otherwise. */
const EXPIRES = '365d';
const NEVER = 'never';

interface CreateOptions extends CommonOptions {
  readonly scope: Scope;
  readonly expires: string;
}

export function addTokenCommands(program: Command, cli: Cli): void {
  const token = program
    .command('token')
    .description('named tokens, with which other machines ask this service over TCP');
  token
    .command('create')
    .description('make a token; it is shown once')
    .argument('<name>', 'shown in jobs and the log as who did something')
    .addOption(
      new Option('--scope <scope>', 'read: see; operate: also start; admin: also remove')
        .choices(Scope.options)
        .default('read'),
    )
    .option('--expires <days>', `such as 90d, or ${NEVER}`, EXPIRES)
    .action(async (name: string, options: CreateOptions) => {
      await cli.answer(options, createToken(cli, name, options));
    });
  token
    .command('list')
    .description('the tokens, who made them and when each was last used')
    .action(async (options: CommonOptions) => {
      await cli.answer(options, listTokens(cli));
    });
  token
    .command('revoke')
    .description('refuse a token from now on')
    .argument('<token>', 'name, id or the beginning of it')
    .action(async (name: string, options: CommonOptions) => {
      await cli.answer(options, revokeToken(cli, name));
    });
}

async function createToken(
  cli: Cli,
  name: string,
  { scope, expires }: CreateOptions,
): Promise<Outcome> {
  const lifeMs = expires === NEVER ? undefined : parseDays('--expires', expires);
  const expiry =
    lifeMs === undefined ? {} : { expiresAtMs: cli.environment.clock.nowMs() + lifeMs };
  const body = { name, scope, ...expiry };
  const created = await (await cli.service()).call('createToken', { body }, cli.signal);
  const { token, secret } = created;
  cli.say(
    `Token ${token.name} may ${scope}${untilText(cli, token)}. Shown once: keep it in a file that ` +
      'only its user can read, and name that file in HYPERKEEP_TOKEN_FILE.',
  );
  return { document: created, text: `${secret}\n` };
}

function untilText(cli: Cli, { expiresAtMs }: Token): string {
  return expiresAtMs === undefined ? '' : ` until ${cli.time(expiresAtMs)}`;
}

async function listTokens(cli: Cli): Promise<Outcome> {
  const answer = await (await cli.service()).call('listTokens', {}, cli.signal);
  const time = (atMs: number | undefined): string => (atMs === undefined ? NEVER : cli.time(atMs));
  const expiry = ({ expiresAtMs }: Token): string =>
    (expiresAtMs ?? Infinity) <= cli.environment.clock.nowMs() ? 'expired' : time(expiresAtMs);
  const columns = ['NAME', 'SCOPE', 'MADE BY', 'MADE', 'EXPIRES', 'LAST USED'];
  return {
    document: answer,
    text:
      answer.tokens.length === 0
        ? 'No named tokens. Make one with: hyperkeep token create NAME --scope read\n'
        : formatTable(
            columns.map((title) => ({ title })),
            answer.tokens.map((token) => [
              token.name,
              token.scope,
              token.author,
              time(token.createdAtMs),
              expiry(token),
              time(token.usedAtMs),
            ]),
          ),
  };
}

async function revokeToken(cli: Cli, name: string): Promise<Outcome> {
  const service = await cli.service();
  const token = await service.call('revokeToken', { path: { token: name } }, cli.signal);
  return { document: { revoked: token }, text: `Token ${token.name} is refused from now on.\n` };
}
