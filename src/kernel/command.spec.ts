import { runCommand } from './command.ts';
import { isFault } from './fault.ts';

const signal = new AbortController().signal;

describe('runCommand', () => {
  it('returns what the program printed and its accepted exit code', async () => {
    const result = await runCommand('sh', ['-c', 'cat; echo err >&2; exit 3'], signal, {
      input: 'given',
      accept: [3],
    });

    expect(result).toEqual({ exitCode: 3, stdout: 'given', stderr: 'err\n' });
  });

  it('names the program and what it said when it fails', async () => {
    const failure = await runCommand('sh', ['-c', 'echo no room >&2; exit 1'], signal).catch(
      (error: unknown) => error,
    );

    expect(isFault(failure, 'command.failed')).toBe(true);
    expect(failure).toMatchObject({ message: 'sh failed (exit 1): no room' });
  });

  it('says that a program is not installed', async () => {
    await expect(runCommand('no-such-program-here', [], signal)).rejects.toMatchObject({
      code: 'command.missing',
    });
  });

  it('ends a program that prints more than the limit', async () => {
    await expect(
      runCommand('sh', ['-c', 'yes'], signal, { outputBytesMax: 1000 }),
    ).rejects.toMatchObject({ code: 'command.failed' });
  });

  it('ends the program when it is cancelled', async () => {
    const controller = new AbortController();
    const running = runCommand(
      'sh',
      ['-c', 'echo started; exec tail -f /dev/null'],
      controller.signal,
    );
    controller.abort();

    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('does not hand secrets of its own environment to the program', async () => {
    process.env['HYPERKEEP_TEST_SECRET'] = 'secret';
    try {
      const { stdout } = await runCommand('env', [], signal);

      expect(stdout).not.toContain('secret');
    } finally {
      delete process.env['HYPERKEEP_TEST_SECRET'];
    }
  });

  it('says as a fault why a program is not started', async () => {
    await expect(runCommand('/proc/self/status', [], signal)).rejects.toMatchObject({
      code: 'file.denied',
    });
  });
});
