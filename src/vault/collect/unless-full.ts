import { isFault } from '../../kernel/fault.ts';

/** A store that is full ends this work and nothing else: the next collection goes on with it. */
export async function unlessFull<Result>(
  work: () => Promise<Result>,
  onFull: () => void,
): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!isFault(error, 'store.full')) {
      throw error;
    }
    onFull();
    return undefined;
  }
}
