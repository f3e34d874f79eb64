/** Which part of a long text to keep: programs say at the end why they failed. */
type Kept = 'start' | 'end';

const LINE_BREAKS = /[\t\n\v\f\r\u0085\u2028\u2029]+/gu;
const CONTROLS = /[\p{Cc}\p{Cf}]/gu;
/** What a cut leaves of a character with two code units. */
const HALF_AT_START = /^[\uDC00-\uDFFF]/;
const HALF_AT_END = /[\uD800-\uDBFF]$/;

/**
 * Returns text of a guest or a program as one line that is fit for a database, a terminal and JSON:
 * at most `charactersMax` UTF-16 code units, well-formed, without control characters. Call it where
 * such text enters, so that later code need not.
 */
export function plainWords(text: string, charactersMax: number, kept: Kept = 'start'): string {
  const cut =
    kept === 'start'
      ? text.trimStart().slice(0, charactersMax).replace(HALF_AT_END, '')
      : text.trimEnd().slice(-charactersMax).replace(HALF_AT_START, '');
  return cut.toWellFormed().trim().replace(LINE_BREAKS, ' ').replace(CONTROLS, '\u{fffd}');
}
