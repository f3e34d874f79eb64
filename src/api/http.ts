import type { DynamicModule, NestApplicationOptions } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { ServerResponse } from 'node:http';
import { ApiTokens } from '../access/api-tokens.ts';
import { IdleMemory } from '../kernel/memory/idle-memory.ts';
import type { Log } from '../kernel/log.ts';
import { DOCS_PATH, guarded } from './access.ts';
import { API_PREFIX } from './contract/routes.ts';
import { FaultFilter } from './fault.filter.ts';
import { validationPipe } from './validation.ts';

/** The longest text with policies, in JSON. A definition of 24 disks is 10 KB. */
const BODY_LIMIT = '1mb';

export interface HttpSettings {
  /** Content of the token file. Without one, only named tokens are let in over TCP. */
  readonly token?: string;
  readonly version: string;
  readonly log: Log;
}

/** Checks access before reading a body. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- Nest declares its options as a class
export const APPLICATION_OPTIONS = {
  logger: false,
  abortOnError: false,
  bodyParser: false,
} as NestApplicationOptions;

export async function createHttp(service: DynamicModule): Promise<NestExpressApplication> {
  return NestFactory.create<NestExpressApplication>(service, APPLICATION_OPTIONS);
}

/** Sets access up first, then everything else. Create the application with APPLICATION_OPTIONS. */
export function configureHttp(
  app: NestExpressApplication,
  { token, version, log }: HttpSettings,
): void {
  app.disable('x-powered-by');
  const memory = app.get(IdleMemory);
  app.use((_request: unknown, response: ServerResponse, next: () => void) => {
    response.once('close', () => {
      memory.touch();
    });
    next();
  });
  app.use(...guarded({ token, named: app.get(ApiTokens) }));
  app.useBodyParser('json', { limit: BODY_LIMIT });
  app.setGlobalPrefix(API_PREFIX.slice(1));
  app.useGlobalPipes(validationPipe());
  app.useGlobalFilters(new FaultFilter(log));
  const description = new DocumentBuilder()
    .setTitle('Hyperkeep')
    .setVersion(version)
    .addBearerAuth()
    .addSecurityRequirements('bearer')
    .build();
  SwaggerModule.setup(DOCS_PATH.slice(1), app, () =>
    SwaggerModule.createDocument(app, description),
  );
}
