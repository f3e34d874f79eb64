import { Fault } from '../fault.ts';

/** Fewer characters of an id name nothing. */
export const ID_CHARACTERS_MIN = 4;
/** The same where the word may be a name as well: `db01` must not find the VM of another id. */
export const ID_CHARACTERS_BESIDE_NAMES = 6;

interface Named {
  readonly id: string;
  readonly name: string;
}

/**
 * What has this name or this id, or the only one whose id begins so.
 *
 * @throws Fault `request.invalid` when several begin so
 */
export function findNamed<Thing extends Named>(
  things: readonly Thing[],
  word: string,
): Thing | undefined {
  const exact = things.find(({ id, name }) => id === word || name === word);
  return exact ?? onlyStarting(things, word, ID_CHARACTERS_BESIDE_NAMES);
}

/**
 * The only one whose id begins so; letters count in either case.
 *
 * @throws Fault `request.invalid` when several begin so
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
