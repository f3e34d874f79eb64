import { readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { DEFAULT_LIMITS } from '../../../src/engines/qemu/vms/engine-parts.ts';
import type { QemuEngine } from '../../../src/engines/qemu/qemu-engine.ts';
import { FakeAgent } from '../../support/guest/fake-agent.ts';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

const { signal } = new AbortController();
const SYNC = 'guest-sync-delimited';
const THAW = 'guest-fsfreeze-thaw';

/** A running VM whose guest may have stayed frozen, and its agent, which says nothing. */
async function setUp(thawMsMax: number) {
  const held = new AsyncDisposableStack();
  const agent = held.use(await FakeAgent.listen());
  const lab = held.use(await QemuLab.create(undefined, { guestAgent: true }));
  const first = lab.engine();
  await first.add(lab.definition, signal);
  await first.start(lab.vm, signal);
  await first.close();
  agent.answers[SYNC] = 'silence';
  agent.answers['guest-fsfreeze-status'] = { return: 'frozen' };
  await rm(lab.paths.agent);
  await symlink(agent.path, lab.paths.agent);
  const state = JSON.parse(await readFile(lab.paths.state, 'utf8')) as object;
  await writeFile(lab.paths.state, JSON.stringify({ ...state, freezeSent: true }));
  const engine = lab.engine({ limits: { thawMsMax } });
  return Object.assign(held, { agent, lab, engine });
}

async function freezeSent(lab: QemuLab): Promise<boolean> {
  const text = await readFile(lab.paths.state, 'utf8');
  return (JSON.parse(text) as { readonly freezeSent: boolean }).freezeSent;
}

async function warningsOf(engine: QemuEngine, vm: string): Promise<readonly string[]> {
  return (await engine.get(vm, signal)).warnings;
}

describe('A guest that may be frozen and whose agent does not answer', () => {
  it('holds an action up for less than another one waits for it', async () => {
    expect(2 * DEFAULT_LIMITS.thawMsMax).toBeLessThan(DEFAULT_LIMITS.actionWaitMs);
    await using place = await setUp(300);
    const { engine, lab } = place;

    await engine.start(lab.vm, signal);
    await using frozen = await engine.freeze(lab.vm, { jobToken: 'by hand' }, signal);

    expect(frozen.consistency).toBe('crash');
    expect(frozen.warnings).toEqual([
      'the guest agent does not answer: the guest may still be frozen',
    ]);
    // A backup that asks no agent has not thawed it either.
    expect(await freezeSent(lab)).toBe(true);
  });

  it('is thawed as soon as it answers, though nobody acts on its VM', async () => {
    await using place = await setUp(300);
    const { agent, engine, lab } = place;
    await engine.start(lab.vm, signal);
    expect(await warningsOf(engine, lab.vm)).toHaveLength(1);

    Reflect.deleteProperty(agent.answers, SYNC);

    await agent.wasAsked(THAW);
    while (await freezeSent(lab)) {
      // The answer has come; the state file follows.
    }
  });
});
