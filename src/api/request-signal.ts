import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';

/** Fires when the client leaves before it has its answer. */
export const RequestSignal = createParamDecorator((_: unknown, context: ExecutionContext) => {
  const http = context.switchToHttp();
  const response = http.getResponse<Response>();
  const abort = new AbortController();
  response.once('close', () => {
    abort.abort();
  });
  if (http.getRequest<Request>().destroyed) {
    abort.abort();
  }
  return abort.signal;
});
