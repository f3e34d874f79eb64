import { FakeMonitor } from '../../../../test/support/guest/fake-monitor.ts';
import { SilentLog } from '../../../kernel/log.ts';
import { Sessions } from './sessions.ts';
import { vmPaths } from '../state/vm-paths.ts';

const { signal } = new AbortController();
const vmId = '7d444840-9dc0-41d1-b245-5ffdce74fad2';

describe('Sessions', () => {
  it('keeps a connection under way for the others when the one who began it leaves', async () => {
    await using monitor = await FakeMonitor.listen(() => undefined, 'none');
    const limits = { resumeFreeBytes: 0, resumeLookMs: 1000 };
    const sessions = new Sessions(limits, new SilentLog(), () => undefined);
    const folders = { stateFolder: '/nowhere', runFolder: '/nowhere' };
    const paths = { ...vmPaths(folders, vmId), monitor: monitor.path };
    const owner = { vmId, paths, diskPaths: [] };
    const leaver = new AbortController();

    const left = sessions.get(owner, leaver.signal);
    const stayed = sessions.get(owner, signal);
    await monitor.connected();
    leaver.abort();
    await expect(left).rejects.toMatchObject({ name: 'AbortError' });
    monitor.greet();

    const session = await stayed;
    expect(session.qmp.isOpen).toBe(true);
    expect(await sessions.get(owner, signal)).toBe(session);
    expect(monitor.sockets).toHaveLength(1);
    await sessions.close();
  });
});
