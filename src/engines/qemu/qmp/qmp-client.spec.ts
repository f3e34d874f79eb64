import { FakeMonitor } from '../../../../test/support/guest/fake-monitor.ts';
import { QmpClient } from './qmp-client.ts';

const { signal } = new AbortController();
const event = (name: string) => ({
  event: name,
  timestamp: { seconds: 1, microseconds: 2 },
});

const RUNNING = { status: 'running', running: true };

describe('QmpClient', () => {
  it('matches replies by id, however they are ordered and mixed with events', async () => {
    const held: (() => void)[] = [];
    await using monitor = await FakeMonitor.listen(({ execute, id }, say) => {
      held.push(() => {
        say(event('RESUME'));
        say({ id, return: execute === 'query-status' ? RUNNING : [] });
      });
      if (held.length === 2) {
        held.toReversed().forEach((reply) => {
          reply();
        });
      }
    });
    await using client = await QmpClient.connect(monitor.path, signal);

    const answers = await Promise.all([
      client.execute('query-status', {}, signal),
      client.execute('query-jobs', {}, signal),
    ]);

    expect(answers).toEqual([RUNNING, []]);
  });

  it("passes QEMU's refusal on, and is still good for the next command", async () => {
    await using monitor = await FakeMonitor.listen(({ execute, id }, say) => {
      say(
        execute === 'stop'
          ? { id, error: { class: 'GenericError', desc: 'not now' } }
          : { id, return: RUNNING },
      );
    });
    await using client = await QmpClient.connect(monitor.path, signal);

    await expect(client.execute('stop', {}, signal)).rejects.toMatchObject({
      code: 'engine.refused',
      message: 'QEMU refused stop: not now',
    });
    expect(await client.execute('query-status', {}, signal)).toEqual(RUNNING);
  });

  it('gives up on a command in time and does not mistake its late reply', async () => {
    let late: (() => void) | undefined;
    await using monitor = await FakeMonitor.listen(({ execute, id }, say) => {
      if (execute === 'query-jobs') {
        late = () => {
          say({ id, return: [] });
        };
        return;
      }
      late?.();
      say({ id, return: RUNNING });
    });
    await using client = await QmpClient.connect(monitor.path, signal);

    await expect(client.execute('query-jobs', {}, signal, 30)).rejects.toMatchObject({
      code: 'engine.unreachable',
    });
    expect(await client.execute('query-status', {}, signal)).toEqual(RUNNING);
    const aborted = client.execute('query-jobs', {}, AbortSignal.timeout(10));
    await expect(aborted).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it.each([
    ['what is not JSON', 'rubbish'],
    ['too deep nesting', '['.repeat(100)],
    ['a reply of no known shape', { id: 2, nothing: 1 }],
  ])('ends the connection on %s', async (_, message) => {
    await using monitor = await FakeMonitor.listen((_command, say) => {
      say(message);
    });
    const client = await QmpClient.connect(monitor.path, signal);

    await expect(client.execute('query-status', {}, signal)).rejects.toMatchObject({
      code: 'engine.unreachable',
    });
    await client.closed;
    expect(client.isOpen).toBe(false);
    await expect(client.execute('query-status', {}, signal)).rejects.toMatchObject({
      code: 'engine.unreachable',
    });
  });

  it('refuses a result of another shape than the command has', async () => {
    await using monitor = await FakeMonitor.listen(({ id }, say) => {
      say({ id, return: { status: 7 } });
    });
    await using client = await QmpClient.connect(monitor.path, signal);

    await expect(client.execute('query-status', {}, signal)).rejects.toThrow('unknown shape');
  });

  it('says so when the monitor is in use, gone or not there', async () => {
    await using busy = await FakeMonitor.listen(() => undefined, 'none');
    await expect(
      QmpClient.connect(busy.path, signal, { greetingTimeoutMs: 30 }),
    ).rejects.toMatchObject({ code: 'engine.unreachable' });
    await expect(QmpClient.connect(`${busy.path}-not`, signal)).rejects.toMatchObject({
      code: 'engine.unreachable',
    });

    await using monitor = await FakeMonitor.listen(() => {
      monitor.sockets[0]?.destroy();
    });
    const client = await QmpClient.connect(monitor.path, signal);
    await expect(client.execute('query-status', {}, signal)).rejects.toMatchObject({
      code: 'engine.unreachable',
    });
  });

  it('gives every event since the subscription, until that ends', async () => {
    await using monitor = await FakeMonitor.listen(({ id }, say) => {
      for (const name of ['STOP', 'RESUME', 'SHUTDOWN']) {
        say(event(name));
      }
      say({ id, return: RUNNING });
    });
    await using client = await QmpClient.connect(monitor.path, signal);
    const names: string[] = [];
    const stop = client.onEvent(({ event: name }) => names.push(name));

    await client.execute('query-status', {}, signal);
    stop();
    await client.execute('query-status', {}, signal);

    expect(names).toEqual(['STOP', 'RESUME', 'SHUTDOWN']);
  });

  it('leaves a monitor that says more than can be meant', async () => {
    const noise = { ...event('NOISE'), data: { x: 'x'.repeat(1024 * 1024) } };
    const many = `${JSON.stringify(noise)}\n`;
    await using monitor = await FakeMonitor.listen(({ execute }, say) => {
      if (execute === 'stop') {
        const more = () => {
          const [socket] = monitor.sockets;
          if (socket?.destroyed === false) {
            socket.write(many, more);
          }
        };
        more();
      } else {
        say('');
      }
    });
    const client = await QmpClient.connect(monitor.path, signal);

    await expect(client.execute('stop', {}, signal)).rejects.toMatchObject({
      code: 'engine.unreachable',
    });

    await client.closed;
    expect(client.isOpen).toBe(false);
  });
});
