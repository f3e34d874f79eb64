import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Guard } from '../../../src/engines/qemu/process/guard.ts';
import { FakeAgent } from '../../support/guest/fake-agent.ts';

const MiB = 1024 * 1024;
const THAW = 'guest-fsfreeze-thaw';
const SYNC = 'guest-sync-delimited';
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

  it('lets a thaw follow a freeze that nobody answers, on the same connection', async () => {
    await using agent = await FakeAgent.listen();
    agent.answers[FREEZE] = 'silence';
    await using guard = await Guard.start({ agentSocket: agent.path, freezeMsMax: 1000 });
    const freezing = guard.freeze();
    await agent.wasAsked(FREEZE);
    agent.answers[SYNC] = 'silence';
    await freezing;

    await agent.wasAsked(THAW, 2);

    Reflect.deleteProperty(agent.answers, SYNC);
    expect(await guard.thaw()).toMatchObject({ isThawed: true, wasFrozenThroughout: false });
  });

  it('hands on the words of a guest as text that everybody can take', async () => {
    await using agent = await FakeAgent.listen();
    const desc = `hook\0 said\u001b[31m \ud83d no\n${'💾'.repeat(400)}`;
    agent.answers[FREEZE] = { error: { class: 'GenericError', desc } };
    await using guard = await Guard.start({ agentSocket: agent.path });

    const reason = (await guard.freeze()) ?? '';

    expect(reason).toContain('hook\ufffd said\ufffd[31m \ufffd no 💾');
    expect(reason.isWellFormed()).toBe(true);
    expect(reason.length).toBeLessThan(400);
  });

  it.each(['flood', 'flood of lines'] as const)(
    'leaves an agent that answers with a %s, and thaws all the same',
    async (flood) => {
      await using agent = await FakeAgent.listen();
      agent.answers[FREEZE] = flood;
      await using guard = await Guard.start({ agentSocket: agent.path });

      expect(await guard.freeze()).toContain('closed the connection');
      expect(await guard.thaw()).toMatchObject({ isThawed: true, wasFrozenThroughout: false });

      expect(agent.floodedBytes).toBeLessThan(8 * MiB);
    },
  );

  it('leaves an agent that floods while it is frozen, and thaws when told to', async () => {
    await using agent = await FakeAgent.listen();
    agent.floodsAfter = FREEZE;
    await using guard = await Guard.start({ agentSocket: agent.path });

    await guard.freeze();
    await agent.floodEnded;

    expect(await guard.thaw()).toMatchObject({ isThawed: true });
    expect(agent.floodedBytes).toBeLessThan(8 * MiB);
  });

  it('leaves an agent that floods instead of answering to its name', async () => {
    await using agent = await FakeAgent.listen();
    agent.answers['guest-sync-delimited'] = 'flood';
    await using guard = await Guard.start({ agentSocket: agent.path });

    expect(await guard.freeze()).toContain('closed the connection');

    expect(await guard.thaw()).toMatchObject({ isThawed: true, frozenMs: 0 });
    expect(agent.floodedBytes).toBeLessThan(8 * MiB);
  });

  it.each([
    ['no JSON', "console.log('(node:1) Warning: something')"],
    ['no report', "console.log(JSON.stringify({ said: 'surprise' }))"],
    ['a line without end', "process.stdout.write('x'.repeat(1e6))"],
    ['reports without end', 'console.log(\'{"said":"ready"}\\n\'.repeat(1e4))'],
  ])('counts as ended when it says %s', async (_, program) => {
    const path = join(await mkdtemp('/tmp/hk-guard-'), 'guard.mjs');
    await writeFile(path, `${program};\nprocess.stdin.resume();\n`);
    await using guard = await Guard.start({ agentSocket: '/nowhere', program: path });

    await guard.ready();
    expect(await guard.freeze()).toBe('the guard process ended');
    expect(await guard.thaw()).toMatchObject({ isThawed: false, wasFrozenThroughout: false });

    await rm(dirname(path), { recursive: true });
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
