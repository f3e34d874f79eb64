import { PassThrough } from 'node:stream';
import { TextBuffer, TypedInput } from '../../../test/support/service/terminal-buffers.ts';
import { askSecret, askYes } from './prompt.ts';

const signal = new AbortController().signal;

function setUp(pieces: readonly string[]) {
  const input = new TypedInput(pieces, true);
  const errors = new TextBuffer(true);
  return { input, errors, terminal: { input, errors, output: new TextBuffer() } };
}

describe('askSecret', () => {
  it('returns what was typed and shows nothing of it', async () => {
    const { terminal, errors, input } = setUp(['cor', 'rect\u007ft horse', '\r']);

    expect(await askSecret(terminal, 'Passphrase: ', signal)).toBe('correct horse');

    expect(errors.text).toBe('Passphrase: \n');
    expect(input.rawModes).toEqual([true, false]);
  });

  it('gives the terminal its echo back when Ctrl-C is typed', async () => {
    const { terminal, input } = setUp(['abc\u0003']);

    await expect(askSecret(terminal, '?', signal)).rejects.toThrow('Interrupted');

    expect(input.rawModes).toEqual([true, false]);
  });

  it('starts again after Ctrl-U and ignores arrow keys', async () => {
    const { terminal } = setUp(['wrong\u0015right\u001b[D\n']);

    expect(await askSecret(terminal, '?', signal)).toBe('right');
  });

  it('leaves a second pasted line to the second question', async () => {
    const { terminal } = setUp(['one\rtwo\r']);

    expect(await askSecret(terminal, '?', signal)).toBe('one');
    expect(await askSecret(terminal, '?', signal)).toBe('two');
    expect(await askSecret(terminal, '?', signal)).toBe('');
  });

  it('stops waiting when the command is stopped', async () => {
    const { terminal } = setUp([]);
    const stopped = new AbortController();
    const input = Object.assign(new PassThrough(), { isTTY: true });
    const answer = askSecret({ ...terminal, input }, '?', stopped.signal);
    stopped.abort();

    await expect(answer).rejects.toThrow('aborted');
  });

  it('refuses an endless answer', async () => {
    const { terminal } = setUp(['x'.repeat(2000)]);

    await expect(askSecret(terminal, '?', signal)).rejects.toMatchObject({
      code: 'request.invalid',
    });
  });
});

describe('askYes', () => {
  it.each([
    ['yes\n', true],
    ['YES\r', true],
    ['y\n', false],
    ['\n', false],
  ])('takes %j as %s', async (typed, expected) => {
    expect(await askYes(setUp([typed]).terminal, 'Sure?', signal)).toBe(expected);
  });
});
