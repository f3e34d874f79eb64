import { describeEngine } from '../../contract/engine.contract.ts';
import { FakeEngine } from './fake-engine.ts';
import { fakeHands, fakeVm } from './fake-hands.ts';

const { signal } = new AbortController();

describeEngine('FakeEngine', async () => {
  const engine = new FakeEngine();
  const vm = fakeVm('fake-vm');
  return {
    engine,
    definition: vm,
    ...fakeHands(engine, vm.id),
    restartService: async () => engine,
    crashHost: async () => {
      engine.setStatus(vm.id, 'stopped');
      return engine;
    },
    [Symbol.asyncDispose]: async () => engine.close(),
  };
});

describe('FakeEngine', () => {
  it('gives what a test set: NVRAM, lost tracking, lost changes, a failing freeze', async () => {
    const engine = new FakeEngine();
    const vm = fakeVm('fake-vm');
    await engine.add(vm, signal);
    await engine.start(vm.id, signal);
    engine.setNvram(vm.id, Uint8Array.of(1, 2));
    const freeze = async () => engine.freeze(vm.id, { jobToken: 'job' }, signal);

    const first = await freeze();
    await first[Symbol.asyncDispose]();
    expect(first.nvram).toEqual(Uint8Array.of(1, 2));
    expect(first.consistency).toBe('filesystem');

    engine.forgetChanges(vm.id, 'data');
    engine.replaceTracking(vm.id, 'system');
    const second = await freeze();
    const third = await second[Symbol.asyncDispose]().then(freeze);
    expect(engine.frozen).toBe(1);
    const reasons = await Promise.all(
      third.disks.map(async (disk, index) => disk.changedSince(first.disks[index]?.tracking)),
    );
    expect(reasons[0]).toEqual({ method: 'full', reason: 'tracking-replaced' });
    expect(reasons[1]).toEqual({ method: 'changed-extents', extents: [] });
    await third[Symbol.asyncDispose]();

    engine.failNextFreeze(new Error('as told'));
    await expect(freeze()).rejects.toThrow('as told');
    expect(engine.frozen).toBe(0);
  });
});
