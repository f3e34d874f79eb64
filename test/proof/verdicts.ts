/** Verdicts in the order of `COLUMNS`, as they stand in the table of what is expected. */
export function asText(verdicts: readonly string[]): string {
  const short = verdicts.map((verdict) => verdict.replaceAll('vault.', ''));
  return [short.slice(0, 4), short.slice(4, 8), short.slice(8, 11), short.slice(11)]
    .map((group) => group.join(' '))
    .join(' | ');
}
