/**
 * Returns `text` without control characters. Names and notes come from vaults and servers, and an
 * escape sequence in them must not reach the user's terminal.
 */
export function plainText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\u{fffd}');
}
