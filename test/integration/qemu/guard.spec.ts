import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Guard } from '../../../src/engines/qemu/guard.ts';

type Reply = object | 'silence';

/** An agent as the guard sees it: it answers what it is told to, and remembers what it was asked. */
class FakeAgent implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly answers: Record<string, Reply> = {};
  private readonly sockets = new Set<Socket>();
  private readonly waiting: { command: string; resolve: () => void }[] = [];
  private readonly folder: string;
  private readonly server: Server;

  private constructor(folder: string) {
    this.folder = folder;
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => undefined);
      socket.on('data', (piece) => {
        for (const line of piece
          .toString('latin1')
          .replaceAll('\xff', '')
          .split('\n')
          .filter((text) => text !== '')) {
          this.answer(socket, JSON.parse(line) as { execute: string; arguments: { id?: number } });
        }
      });
    });
  }

  static async listen(): Promise<FakeAgent> {
    const agent = new FakeAgent(await mkdtemp('/tmp/hk-agent-'));
    await new Promise<void>((resolve) => agent.server.listen(agent.path, resolve));
    return agent;
  }

  get path(): string {
    return join(this.folder, 'agent');
  }

  /** Resolves when `command` has come `count` times in all. */
  async wasAsked(command: string, count = 1): Promise<void> {
    while (this.asked.filter((name) => name === command).length < count) {
      await new Promise<void>((resolve) => this.waiting.push({ command, resolve }));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) {
      socket.destroy();
    }
    await new Promise((resolve) => this.server.close(resolve));
    await rm(this.folder, { recursive: true, force: true });
  }

  private answer(
    socket: Socket,
    { execute, arguments: parameters }: { execute: string; arguments: { id?: number } },
  ): void {
    this.asked.push(execute);
    const usual =
      execute === 'guest-sync-delimited'
        ? { return: parameters.id }
        : { return: execute === 'guest-fsfreeze-freeze' ? 2 : 0 };
    const reply = this.answers[execute] ?? usual;
    if (reply !== 'silence') {
      const mark = execute === 'guest-sync-delimited' ? '\xff' : '';
      socket.write(Buffer.from(`${mark}${JSON.stringify(reply)}\n`, 'latin1'));
    }
    for (const waiting of this.waiting.splice(0)) {
      waiting.resolve();
    }
  }
}

const THAW = 'guest-fsfreeze-thaw';
const FREEZE = 'guest-fsfreeze-freeze';

describe('Guard', () => {
  it('freezes, and thaws when told to', async () => {
    await using agent = await FakeAgent.listen();
    await using guard = await Guard.start({ agentSocket: agent.path });

    expect(await guard.ready()).toBe(true);
    expect(await guard.freeze()).toBeUndefined();
    const outcome = await guard.thaw();

    expect(outcome).toMatchObject({ isThawed: true, wasFrozenThroughout: true });
    expect(outcome.frozenMs).toBeGreaterThan(0);
    expect(agent.asked).toEqual(['guest-sync-delimited', THAW, FREEZE, THAW]);
  });

  it('thaws after its limit when nobody tells it to', async () => {
    await using agent = await FakeAgent.listen();
    await using guard = await Guard.start({ agentSocket: agent.path, frozenMsMax: 100 });
    await guard.ready();
    await guard.freeze();

    await agent.wasAsked(THAW, 2);

    expect(await guard.thaw()).toMatchObject({ isThawed: true, wasFrozenThroughout: false });
  });

  it('thaws when its pipe to the service closes', async () => {
    await using agent = await FakeAgent.listen();
    const guard = await Guard.start({ agentSocket: agent.path });
    await guard.ready();
    await guard.freeze();

    await guard.close();

    await agent.wasAsked(THAW, 2);
  });

  it('says why when the agent is not there or does not answer', async () => {
    await using agent = await FakeAgent.listen();
    agent.answers['guest-sync-delimited'] = 'silence';
    await using silent = await Guard.start({ agentSocket: agent.path, connectMsMax: 100 });
    await using missing = await Guard.start({ agentSocket: `${agent.path}-missing` });

    expect(await silent.freeze()).toContain('did not answer');
    expect(await silent.thaw()).toMatchObject({ isThawed: true, frozenMs: 0 });
    expect(await missing.freeze()).toContain('closed the connection');
    expect(agent.asked).not.toContain(FREEZE);
  });

  it('thaws a guest whose freeze failed or was never answered', async () => {
    await using agent = await FakeAgent.listen();
    agent.answers[FREEZE] = { error: { class: 'GenericError', desc: 'hook said no' } };
    await using refused = await Guard.start({ agentSocket: agent.path });
    expect(await refused.freeze()).toContain('hook said no');
    expect(await refused.thaw()).toMatchObject({ isThawed: true, wasFrozenThroughout: false });
    await refused.close();

    agent.answers[FREEZE] = 'silence';
    await using late = await Guard.start({ agentSocket: agent.path, freezeMsMax: 100 });
    expect(await late.freeze()).toContain('did not answer');
    expect(await late.thaw()).toMatchObject({ isThawed: true, wasFrozenThroughout: false });
    expect(agent.asked.at(-1)).toBe(THAW);
  });

  it('goes on trying to thaw by itself when the guest does not confirm', async () => {
    await using agent = await FakeAgent.listen();
    const guard = await Guard.start({ agentSocket: agent.path });
    await guard.freeze();
    agent.answers[THAW] = { error: { class: 'GenericError', desc: 'not yet' } };
    await guard.close();
    await agent.wasAsked(THAW, 4);

    agent.answers[THAW] = { return: 0 };

    await agent.wasAsked(THAW, agent.asked.filter((name) => name === THAW).length + 1);
  });
});
