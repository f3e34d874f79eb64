import type { z } from 'zod';

/**
 * Returns the first problem that a schema found, in one line: `notes.3: Too big: expected string to
 * have <=4096 characters`.
 */
export function schemaProblem({ issues }: z.ZodError): string {
  const [issue] = issues;
  return issue === undefined ? '' : `${issue.path.join('.')}: ${issue.message}`;
}
