const PROBLEMS_MAX = 3;

/** What a schema found wrong; a `ZodError` is one. */
interface SchemaError {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
}

/**
 * Returns the first problems that a schema found, in one line: `disks.0.path: an absolute path
 * without commas or line breaks; …`. `whole` names the value itself where a problem has no path.
 */
export function schemaProblems(
  { issues }: SchemaError,
  whole: string,
  problemsMax = PROBLEMS_MAX,
): string {
  return issues
    .slice(0, problemsMax)
    .map(({ path, message }) => `${path.map(String).join('.') || whole}: ${message}`)
    .join('; ');
}
