import { abortable } from './abortable.ts';

describe('abortable', () => {
  it('gives what the promise gives', async () => {
    expect(await abortable(Promise.resolve(7), new AbortController().signal)).toBe(7);
    await expect(
      abortable(Promise.reject(new Error('no')), new AbortController().signal),
    ).rejects.toThrow('no');
  });

  it('stops waiting when the signal fires', async () => {
    const abort = new AbortController();
    const waiting = abortable(new Promise(() => undefined), abort.signal);

    abort.abort();

    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await expect(abortable(Promise.resolve(7), abort.signal)).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});
