/**
 * Returns `value` as PostgreSQL can keep it: replaces NUL and halves of surrogate pairs in every
 * text with U+FFFD, because neither `text` nor `jsonb` accept them. Texts of guests, programs and
 * vaults end up in rows.
 *
 * @param value anything that `JSON.stringify` can write
 */
export function storable<T>(value: T): T;
export function storable(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.toWellFormed().replaceAll('\0', '\u{fffd}');
  }
  if (Array.isArray(value)) {
    return value.map((entry: unknown) => storable(entry));
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, entry]) => [storable(key), storable(entry)]),
    );
  }
  return value;
}

/** For every column with text from outside this program. */
export const storableColumn = {
  to: (value: unknown): unknown => storable(value),
  from: (value: unknown): unknown => value,
};
