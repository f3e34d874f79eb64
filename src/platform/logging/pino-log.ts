import { pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';
import { currentActor, SERVICE_ACTOR } from '../../kernel/actor.ts';
import { Log, type LogFields } from '../../kernel/log.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/**
 * Fields that must not be shown, at the top and one level down. Only a second net: code does not
 * log them.
 */
const SECRET_FIELDS = [
  'authorization',
  'passphrase',
  'password',
  'recoveryFile',
  'secret',
  'secretAccessKey',
  'token',
];

/** What the service does by itself has no actor. */
function actorField(): object {
  const actor = currentActor();
  return actor === SERVICE_ACTOR ? {} : { actor };
}

/** JSON lines: `{"level":"info","time":"…","event":"backup.finished",…}`. */
export class PinoLog extends Log {
  private readonly logger: Logger;

  constructor(level: LogLevel, destination: DestinationStream) {
    super();
    this.logger = pino(
      {
        level,
        base: null,
        messageKey: 'event',
        timestamp: stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        mixin: actorField,
        serializers: { error: pino.stdSerializers.errWithCause },
        redact: {
          paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]),
          censor: '[secret]',
        },
      },
      destination,
    );
  }

  override error(event: string, fields: LogFields = {}): void {
    this.logger.error(fields, event);
  }

  override warn(event: string, fields: LogFields = {}): void {
    this.logger.warn(fields, event);
  }

  override info(event: string, fields: LogFields = {}): void {
    this.logger.info(fields, event);
  }

  override debug(event: string, fields: LogFields = {}): void {
    this.logger.debug(fields, event);
  }
}
