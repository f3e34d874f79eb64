import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeEngine } from '../../contract/engine.contract.ts';
import { FakeEngine } from '../fake-engine/fake-engine.ts';
import { fakeHands, fakeVm } from '../fake-engine/fake-hands.ts';
import { EngineServer } from './engine-server.ts';
import { RemoteEngine } from './remote-engine.ts';

describeEngine('RemoteEngine', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hk-engine-'));
  const fake = new FakeEngine();
  const server = await EngineServer.open(fake, join(folder, 'engine'));
  const definition = fakeVm('fake-vm');
  const services: RemoteEngine[] = [];
  const service = (): RemoteEngine => {
    const next = new RemoteEngine(server.socket);
    services.push(next);
    return next;
  };
  return {
    engine: service(),
    definition,
    ...fakeHands(fake, definition.id),
    // A killed one calls no more; that it may, is more than what happens.
    restartService: async () => service(),
    crashHost: async () => {
      fake.setStatus(definition.id, 'stopped');
      return service();
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(services.map(async (each) => each.close()));
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
});
