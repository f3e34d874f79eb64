const MARK = ' […]';

/**
 * Cuts a text that is too long after a whole character, and marks the cut. `charactersMax` counts
 * UTF-16 code units.
 */
export function shortened(text: string, charactersMax: number): string {
  if (text.length <= charactersMax) {
    return text;
  }
  const start = text.slice(0, charactersMax - MARK.length);
  return `${start.replace(/[\uD800-\uDBFF]$/, '')}${MARK}`;
}
