import { Fault } from '../fault.ts';

/** Fewer characters of an id match nothing. */
export const ID_CHARACTERS_MIN = 4;
/** The minimum where the word may be a name as well: `db01` must not find the VM of another id. */
export const ID_CHARACTERS_BESIDE_NAMES = 6;

interface Named {
  readonly id: string;
  readonly name: string;
}

/**
 * Returns the thing with this name or id, or the only one whose id begins so.
 *
 * @throws Fault `request.invalid` if several ids begin so
 */
export function findNamed<Thing extends Named>(
  things: readonly Thing[],
  word: string,
): Thing | undefined {
  const exact = things.find(({ id, name }) => id === word || name === word);
  return exact ?? onlyStarting(things, word, ID_CHARACTERS_BESIDE_NAMES);
}

/**
 * Returns the only thing whose id begins so; upper and lower case are equal.
 *
 * @throws Fault `request.invalid` if several ids begin so
 */
export function onlyStarting<Thing extends { readonly id: string }>(
  things: readonly Thing[],
  prefix: string,
  charactersMin = ID_CHARACTERS_MIN,
): Thing | undefined {
  if (prefix.length < charactersMin) {
    return undefined;
  }
  const lower = prefix.toLowerCase();
  const found = things.filter(({ id }) => id.toLowerCase().startsWith(lower));
  if (found.length > 1) {
    throw new Fault(
      'request.invalid',
      `${String(found.length)} ids begin with ${prefix}. Type more of the id.`,
      { prefix },
    );
  }
  return found[0];
}
