import { withSignOfLife } from './sign-of-life.ts';

it('says that an answer is waited for, again and again, and gives it', async () => {
  const said: string[] = [];
  const answer = Promise.withResolvers<number>();
  const say = (sentence: string): void => {
    said.push(sentence);
    if (said.length === 3) {
      answer.resolve(42);
    }
  };

  expect(await withSignOfLife(answer.promise, say, { quietMs: 5, remindMs: 5 })).toBe(42);

  expect(said.slice(0, 2)).toEqual([
    expect.stringContaining('has not answered yet'),
    expect.stringContaining('Still waiting'),
  ]);
});

it('says nothing when the answer is quick, also a bad one', async () => {
  const said: string[] = [];
  const say = (sentence: string) => said.push(sentence);

  await expect(withSignOfLife(Promise.reject(new Error('no')), say)).rejects.toThrow('no');
  expect(await withSignOfLife(Promise.resolve(1), say)).toBe(1);

  expect(said).toEqual([]);
});
