import { FakeMonitor } from '../../../../test/support/guest/fake-monitor.ts';
import { MemoryDisk } from '../../../../test/support/disk/memory-disk.ts';
import { SystemClock } from '../../../kernel/clock.ts';
import { SilentLog } from '../../../kernel/log.ts';
import { Shared } from '../../../kernel/waiting/shared.ts';
import { newDiskState } from '../state/disk-changes.ts';
import { DEFAULT_LIMITS, type EngineParts } from '../vms/engine-parts.ts';
import { OverlayWatch } from './overlay-watch.ts';
import { QmpClient } from '../qmp/qmp-client.ts';
import { Sessions } from '../process/sessions.ts';
import { vmPaths } from '../state/vm-paths.ts';

const { signal } = new AbortController();
const folders = { stateFolder: '/nowhere', runFolder: '/nowhere' };
const vm = { id: '7d444840-9dc0-41d1-b245-5ffdce74fad2', name: 'shop' };
const LIMIT = 1000;

/** A QEMU with one overlay of the size that the test gives. */
async function monitorOf(qemu: { overlayBytes: number; readonly told: unknown[] }) {
  return FakeMonitor.listen((command, say) => {
    const { execute, id } = command;
    if (execute === 'block-set-write-threshold') {
      qemu.told.push((command as unknown as { arguments: unknown }).arguments);
    }
    const image = { filename: '/tmp', 'virtual-size': qemu.overlayBytes };
    const node = { 'node-name': 'd0l0f', drv: 'file', file: '/tmp', ro: false, image };
    say({ id, return: execute === 'query-named-block-nodes' ? [node] : {} });
  });
}

function partsWith(sessions: Sessions): EngineParts {
  return {
    folders,
    clock: new SystemClock(),
    log: new SilentLog(),
    limits: { ...DEFAULT_LIMITS, overlayBytesMax: LIMIT },
    sessions,
    frozen: new Set(),
    looks: new Shared(),
    step: async () => undefined,
    mergeSignal: () => signal,
    mergeLater: () => undefined,
    thawLater: () => undefined,
    isMerging: () => false,
  };
}

describe('OverlayWatch', () => {
  it('finds out on a new connection what was said while nobody was connected', async () => {
    const qemu = { overlayBytes: 500, told: [] as unknown[] };
    await using monitor = await monitorOf(qemu);
    const sessions = new Sessions(DEFAULT_LIMITS, new SilentLog(), () => undefined);
    const owner = { vmId: vm.id, paths: vmPaths(folders, vm.id), diskPaths: [] };
    const connect = async () =>
      sessions.adopt(owner, await QmpClient.connect(monitor.path, signal));
    const session = await connect();
    const watch = new OverlayWatch(partsWith(sessions), vm);
    const base = { path: '/tmp/data', format: 'raw' } as const;
    const disk = newDiskState({ id: 'data', index: 0, excluded: false, base });
    await watch.expect(disk.layers.map((layer) => ({ disk, layer })));
    await watch.arm(session.qmp, signal);
    const reader = watch.guard(new MemoryDisk(512).reader());
    await reader.read(0, new Uint8Array(512), signal);

    await session.close();
    qemu.overlayBytes = LIMIT + 1;
    await connect();

    await expect(
      (async () => {
        for (;;) {
          await reader.read(0, new Uint8Array(512), signal);
          await new Promise((resolve) => setImmediate(resolve));
        }
      })(),
    ).rejects.toMatchObject({ code: 'engine.overlay-full' });
    expect(qemu.told).toEqual(
      [1, 2].map(() => ({ 'node-name': 'd0l0f', 'write-threshold': LIMIT })),
    );
    watch.stop();
    await sessions.close();
  });
});
