import type { Response } from 'express';
import type { FaultContext } from '../kernel/fault.ts';
import type { Problem } from './contract/problem.ts';

/** Sends a problem document (RFC 9457). */
export function sendProblem(
  response: Response,
  problem: {
    readonly status: number;
    readonly title: string;
    readonly detail: string;
    readonly context?: FaultContext;
    /** When another attempt is worthwhile. */
    readonly retryAfterS?: number | undefined;
  },
): void {
  const body: Problem = {
    type: `/docs/errors#${problem.title}`,
    title: problem.title,
    status: problem.status,
    detail: problem.detail,
    context: { ...problem.context },
  };
  if (problem.retryAfterS !== undefined) {
    response.setHeader('Retry-After', problem.retryAfterS);
  }
  response.status(problem.status).type('application/problem+json').send(JSON.stringify(body));
}
