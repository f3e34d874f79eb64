import { z } from 'zod';
import type { Located } from './located.ts';

/** What is wrong, and where it stands in the text. */
export interface PlacedProblem {
  readonly at: number;
  readonly message: string;
}

type Issue = z.core.$ZodIssue;

/** Returns what a schema found, each with its place. */
export function problemsOf(
  { issues }: z.ZodError,
  located: Located,
  schema: z.ZodObject,
): PlacedProblem[] {
  return issues.flatMap((issue) => problemsOfIssue(issue, { located, schema }, []));
}

interface Checked {
  readonly located: Located;
  readonly schema: z.ZodObject;
}

function problemsOfIssue(
  issue: Issue,
  checked: Checked,
  before: readonly PropertyKey[],
): PlacedProblem[] {
  const path = [...before, ...issue.path];
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // The alternative with the fewest problems is the one that was meant.
    const [meant = []] = issue.errors.toSorted((a, b) => a.length - b.length);
    return meant.flatMap((inner) => problemsOfIssue(inner, checked, path));
  }
  const { found, isThere } = innermost(checked.located, path);
  const words = path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      at: found.keys.get(key) ?? found.at,
      message: `there is no field ${[...path.map(String), key].join('.')}; ${knownFields(checked.schema, path)}`,
    }));
  }
  const what = isThere ? issue.message : 'is missing';
  return [{ at: found.at, message: words === '' ? what : `${words}: ${what}` }];
}

/** Follows the path as far as the text has it. */
function innermost(
  located: Located,
  path: readonly PropertyKey[],
): { readonly found: Located; readonly isThere: boolean } {
  let found = located;
  for (const part of path) {
    const next = found.inside.get(String(part));
    if (next === undefined) {
      return { found, isThere: false };
    }
    found = next;
  }
  return { found, isThere: true };
}

function knownFields(whole: z.ZodObject, path: readonly PropertyKey[]): string {
  let schema: unknown = whole;
  for (const part of path) {
    schema = inner(schema);
    schema =
      schema instanceof z.ZodArray
        ? schema.element
        : schema instanceof z.ZodObject
          ? (schema.shape as Record<string, unknown>)[String(part)]
          : undefined;
  }
  schema = inner(schema);
  return schema instanceof z.ZodObject
    ? `there are ${Object.keys(schema.shape).join(', ')}`
    : 'leave it out';
}

/** Returns what is optional or has a default. */
function inner(schema: unknown): unknown {
  let within = schema;
  while (within instanceof z.ZodOptional || within instanceof z.ZodDefault) {
    within = within.unwrap();
  }
  return within;
}
