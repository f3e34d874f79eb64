import { isFault } from '../../../kernel/fault.ts';

/** Ends the work when the store is full, without ending the collection: the next one goes on. */
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
