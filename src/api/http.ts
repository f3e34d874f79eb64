import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
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

/** Access first, then everything else. The application is created with `bodyParser: false`. */
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
