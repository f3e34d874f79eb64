import type { DynamicModule, NestApplicationOptions } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { AddressInfo } from 'node:net';
import { Fault, systemCode } from '../kernel/fault.ts';
import type { Log } from '../kernel/log.ts';
import { DOCS_PATH, loopbackOnly, tokenRequired } from './access.ts';
import { API_PREFIX } from './contract/routes.ts';
import { FaultFilter } from './fault.filter.ts';
import { validationPipe } from './validation.ts';

/** A definition of 24 disks is 10 KB; nothing that is asked for is larger. */
const BODY_LIMIT = '256kb';

export interface HttpSettings {
  readonly token: string;
  readonly version: string;
  readonly log: Log;
}

const LOOPBACK = '127.0.0.1';

/** Access is checked before a body is read. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- Nest declares its options as a class
export const APPLICATION_OPTIONS = {
  logger: false,
  abortOnError: false,
  bodyParser: false,
} as NestApplicationOptions;

export async function createHttp(service: DynamicModule): Promise<NestExpressApplication> {
  return NestFactory.create<NestExpressApplication>(service, APPLICATION_OPTIONS);
}

/** Access first, then everything else. The application is created with APPLICATION_OPTIONS. */
export function configureHttp(
  app: NestExpressApplication,
  { token, version, log }: HttpSettings,
): void {
  app.disable('x-powered-by');
  app.use(loopbackOnly(), tokenRequired(token));
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

/**
 * Listens on the loopback interface alone and returns the address.
 * @param port 0 for any free one
 * @throws Fault `service.already-running` when the port is taken
 */
export async function listen(app: NestExpressApplication, port: number): Promise<string> {
  try {
    await app.listen(port, LOOPBACK);
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') {
      throw new Fault(
        'service.already-running',
        `The port ${String(port)} is taken, perhaps by another service; stop it or set HTTP_PORT.`,
        { port },
        { cause: error },
      );
    }
    throw error;
  }
  const bound = app.getHttpServer().address() as AddressInfo;
  return `http://${LOOPBACK}:${String(bound.port)}`;
}
