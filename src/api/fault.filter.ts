import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { Response } from 'express';
import { isAbort, isFault, type FaultKind } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { sendProblem } from './problem-response.ts';

/**
 * 5xx only if the service itself lacks something at the moment, never for what the request named or
 * found.
 */
const STATUS: Readonly<Record<FaultKind, number>> = {
  invalid: 400,
  denied: 403,
  'not-found': 404,
  conflict: 409,
  exhausted: 507,
  unsupported: 422,
  unavailable: 503,
  integrity: 422,
};

/** A database or store that restarts is back within seconds. */
const RETRY_AFTER_S = 5;
const STATUS_NOT_FOUND = 404;
const STATUS_TOO_LARGE = 413;

/**
 * Turns any error of a request into a problem document. The only place that maps faults to HTTP.
 */
@Catch()
export class FaultFilter implements ExceptionFilter {
  constructor(private readonly log: Log) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<Response>();
    if (response.headersSent || response.destroyed) {
      // The client is gone, or is reading a stream that now ends: no answer is possible.
      response.end();
      return;
    }
    if (isFault(error)) {
      const { code, message, context, kind, retry } = error;
      const mayComeBack = kind === 'unavailable' && retry === 'later';
      sendProblem(response, {
        ...{ status: STATUS[kind], title: code, detail: message, context },
        retryAfterS: mayComeBack ? RETRY_AFTER_S : undefined,
      });
      return;
    }
    if (isAbort(error)) {
      sendProblem(response, {
        status: STATUS.unavailable,
        title: 'request.stopped',
        detail: 'The request was given up, because its client left or the service stops.',
      });
      return;
    }
    const status = clientErrorStatus(error);
    if (status !== undefined) {
      sendProblem(response, { status, title: 'request.invalid', detail: wordsFor(status) });
      return;
    }
    this.log.error('request.broken', { error });
    sendProblem(response, {
      status: 500,
      title: 'internal',
      detail: 'This is a bug of Hyperkeep, please report it with the service log.',
    });
  }
}

/** Nest throws these for unknown paths, body-parser for bodies that are too large or not JSON. */
function clientErrorStatus(error: unknown): number | undefined {
  const status: unknown =
    error instanceof HttpException
      ? error.getStatus()
      : (error as { status?: unknown } | null | undefined)?.status;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}

function wordsFor(status: number): string {
  switch (status) {
    case STATUS_NOT_FOUND:
      return 'There is nothing at this path; see /api/docs.';
    case STATUS_TOO_LARGE:
      return 'The request is too large.';
    default:
      return 'The request is not understood; its body must be JSON. See /api/docs.';
  }
}
