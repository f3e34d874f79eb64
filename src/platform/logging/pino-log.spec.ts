import { PinoLog } from './pino-log.ts';

function setUp(level: 'info' | 'debug' = 'info') {
  const lines: Record<string, unknown>[] = [];
  const log = new PinoLog(level, {
    write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  return { log, lines };
}

describe('PinoLog', () => {
  it('writes the event and its facts as one JSON line', () => {
    const { log, lines } = setUp();

    log.info('backup.finished', { vmId: 'v', readBytes: 42 });

    expect(lines).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
        event: 'backup.finished',
        vmId: 'v',
        readBytes: 42,
      },
    ]);
  });

  it('leaves out what is below its level', () => {
    const { log, lines } = setUp();

    log.debug('noise');

    expect(lines).toEqual([]);
  });

  it('shows an error with its message, stack and cause', () => {
    const { log, lines } = setUp();

    log.error('job.broken', { error: new Error('outer', { cause: new Error('inner') }) });

    expect(lines[0]?.['error']).toMatchObject({
      message: 'outer',
      stack: expect.stringContaining('pino-log.spec') as unknown,
      cause: { message: 'inner' },
    });
  });

  it.each(['passphrase', 'password', 'token', 'authorization', 'secretAccessKey', 'recoveryFile'])(
    'hides %s, also one level down',
    (field) => {
      const { log, lines } = setUp();

      log.warn('x', { [field]: 'hunter2', headers: { [field]: 'hunter2' } });

      expect(JSON.stringify(lines)).not.toContain('hunter2');
    },
  );
});
