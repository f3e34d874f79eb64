import { StandardSchemaValidationPipe } from '@nestjs/common';
import { Fault } from '../kernel/fault.ts';

/** More problems of one request help nobody. */
const PROBLEMS_MAX = 8;

/**
 * Checks bodies, queries and parameters against their zod schemas, and names the first problems.
 */
export function validationPipe(): StandardSchemaValidationPipe {
  return new StandardSchemaValidationPipe({
    exceptionFactory: (issues) => {
      const problems = issues.slice(0, PROBLEMS_MAX).map(({ path, message }) => {
        const where = (path ?? [])
          .map((part) => String(typeof part === 'object' ? part.key : part))
          .join('.');
        return where === '' ? message : `${where}: ${message}`;
      });
      return new Fault('request.invalid', `The request is wrong: ${problems.join('; ')}.`);
    },
  });
}
