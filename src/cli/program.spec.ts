import { cliRun } from '../../test/support/service/cli-run.ts';

const folder = '/nowhere';

describe('runCli', () => {
  it.each([
    ['an unknown command', ['bogus'], "Unknown command 'bogus'. See hyperkeep --help."],
    [
      'a missing option',
      ['rescue', 'points'],
      "Required option '--vault <place>' not specified. See hyperkeep rescue points --help.",
    ],
    [
      'an unknown option',
      ['points', '--all'],
      "Unknown option '--all'. See hyperkeep points --help.",
    ],
    [
      'a wrong level',
      ['rescue', 'verify', '--vault', '/v', '--level', '9'],
      '--level is 0, 1, 2 or 3.',
    ],
    [
      'a wrong compression level',
      ['backup', 'web1', '--compression', '9'],
      "Option '--compression <level>' argument '9' is invalid. It is auto, or a whole number from 1 to 7. See hyperkeep backup --help.",
    ],
  ])('reports %s once, with exit code 2', async (_, parameters, message) => {
    const run = await cliRun(parameters, { folder });

    expect(run.exitCode).toBe(2);
    expect(run.stdout).toBe('');
    expect(run.stderr).toBe(
      `error request.invalid: ${message}\n  Your data: Nothing was changed.\n  Next step: Correct it and run it again; --help shows what a command takes.\n`,
    );
  });

  it('takes the place of the vault for rescue from the settings, unless one is named', async () => {
    const environment = {
      vaultDefaults: { vault: '/nowhere/vault', endpoint: 'http://127.0.0.1:1' },
    };
    const secret = { passphrase: 'correct horse battery staple' };

    const run = await cliRun(['rescue', 'points'], { folder, environment, ...secret });
    const named = await cliRun(['rescue', 'points', '--vault', '/else/where'], {
      ...{ folder, environment, ...secret },
    });

    expect(run.stderr).toContain('There is no vault at /nowhere/vault');
    expect(named.stderr).toContain('There is no vault at /else/where');
  });

  it.each([
    [['vm', 'stpo'], 'stop'],
    [['vm', 'destory'], 'destroy'],
    [['vault', 'forge'], 'forget'],
    [['points', 'retir'], 'retire'],
    [['jobs', 'cancl'], 'cancel'],
    [['rescue', 'prun'], 'prune'],
  ])('suggests nothing that stops or removes for %j', async (parameters, never) => {
    const run = await cliRun(parameters, { folder });

    expect(run.exitCode).toBe(2);
    expect(run.stderr).toMatch(new RegExp(`\\b${parameters[1] ?? ''}\\b`));
    expect(run.stderr).not.toMatch(new RegExp(`\\b${never}\\b|\\.\\.`));
  });

  it('suggests a command that only looks', async () => {
    const run = await cliRun(['vm', 'lst'], { folder });

    expect(run.stderr).toContain("Unknown command 'lst' (Did you mean list?). See hyperkeep vm");
  });

  it('prints one JSON document for a mistake too', async () => {
    const run = await cliRun(['points', '--bogus', '--json'], { folder });

    expect(JSON.parse(run.stdout)).toMatchObject({
      error: { code: 'request.invalid', exitCode: 2 },
    });
  });

  it('shows the help of a command that needs another, on standard error', async () => {
    const run = await cliRun(['vm'], { folder });

    expect(run).toMatchObject({ exitCode: 2, stdout: '' });
    expect(run.stderr).toContain('Usage: hyperkeep vm');
    expect(run.stderr).not.toContain('error');
  });

  it.each([[['--help']], [['rescue', 'restore', '--help']], [['--version']]])(
    'answers %j on standard output',
    async (parameters) => {
      const run = await cliRun(parameters, { folder });

      expect(run).toMatchObject({ exitCode: 0, stderr: '' });
      expect(run.stdout).not.toBe('');
    },
  );

  it('reports a bug of ours as one, with its stack', async () => {
    const serve = async (): Promise<void> => {
      throw new TypeError('x is not a function');
    };

    const run = await cliRun(['serve'], { folder, environment: { serve } });

    expect(run.exitCode).toBe(70);
    expect(run.stderr).toMatch(/error internal: TypeError: x is not a function\n +at /);
  });

  it('takes Ctrl-C as no failure of anybody', async () => {
    const serve = async (): Promise<void> => {
      throw new DOMException('This operation was aborted', 'AbortError');
    };

    const run = await cliRun(['serve'], { folder, environment: { serve } });

    expect(run.exitCode).toBe(130);
    expect(run.stderr).toContain('Stopped.');
  });

  it('never asks for a passphrase where nobody can answer', async () => {
    const run = await cliRun(['rescue', 'points', '--vault', '/nowhere/vault'], { folder });

    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain('passphrase.missing');
  });

  it('explains an error code', async () => {
    const run = await cliRun(['explain', 'store.full', '--json'], { folder });

    expect(JSON.parse(run.stdout)).toMatchObject({ code: 'store.full', kind: 'exhausted' });
    expect((await cliRun(['explain', 'x.y'], { folder })).exitCode).toBe(2);
  });
});
