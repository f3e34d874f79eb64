import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureBuild } from '../../../scripts/setup/build.mjs';
import type { FreezeOptions, FrozenVm } from '../../../src/engines/engine.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { runCommand } from '../../../src/kernel/command.ts';
import { RealService } from '../../support/service/real-service.ts';
import { TestService } from '../../support/service/service.ts';

const TIMEOUT_MS = 300_000;
const { signal } = new AbortController();

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-stop-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** An engine that merges what was frozen until it is told that the service ends. */
class MergingEngine extends FakeEngine {
  readonly merges = new EventEmitter();

  override giveUpMerges(): void {
    this.merges.emit('given-up');
  }

  override async freeze(vm: string, options: FreezeOptions, stop: AbortSignal): Promise<FrozenVm> {
    const frozen = await super.freeze(vm, options, stop);
    return {
      ...frozen,
      [Symbol.asyncDispose]: async () => {
        const givenUp = once(this.merges, 'given-up');
        this.merges.emit('begun');
        await givenUp;
        await frozen[Symbol.asyncDispose]();
      },
    };
  }
}

it('does not wait for a merge when it stops', async () => {
  const engine = new MergingEngine();
  const service = await TestService.start(engine);
  try {
    const passphrase = 'correct horse battery staple';
    await service.post('/vaults', { name: 'v', location: join(folder, 'v'), passphrase });
    const path = join(folder, 'disk.raw');
    await writeFile(path, '');
    await truncate(path, MiB);
    const disks = [{ name: 'system', path, format: 'raw' }];
    await service.post('/vms', { name: 'web', disks });
    const begun = once(engine.merges, 'begun');
    const { body } = await service.post('/backups', { vm: 'web' });
    await begun;

    await service.restart();

    // The point was sealed before.
    const job = await service.get(`/jobs/${(body as { id: string }).id}`);
    expect(job.body).toMatchObject({ state: 'succeeded' });
  } finally {
    await service.remove();
  }
});

/** Accepts connections and never sends anything. */
async function silentServer(): Promise<{ server: Server; endpoint: string; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.resume();
    server.emit('asked');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = (): void => {
    server.close();
    sockets.forEach((socket) => socket.destroy());
  };
  const { port } = server.address() as AddressInfo;
  return { server, endpoint: `http://127.0.0.1:${String(port)}`, close };
}

describe('the process of the service', () => {
  beforeAll(async () => {
    await ensureBuild(join(import.meta.dirname, '../../..'));
  }, TIMEOUT_MS);

  it(
    'ends in order while a request waits for a store that says nothing',
    async () => {
      const store = await silentServer();
      const service = await RealService.start(folder, signal, {
        AWS_ACCESS_KEY_ID: 'x',
        AWS_SECRET_ACCESS_KEY: 'x',
      });
      const asked = once(store.server, 'asked');
      const body = { name: 'v', location: 's3://bucket/v', endpoint: store.endpoint };
      const created = service.client.call('createVault', { body }, signal);
      created.catch(() => undefined); // Its answer does not matter here.
      await asked;

      await service.stop();

      expect(service.exitCode).toBe(0);
      store.close();
      const left = await runCommand('pgrep', ['-fa', folder], signal, { accept: [0, 1] });
      expect(left.stdout).toBe('');
    },
    TIMEOUT_MS,
  );

  it('is gone when its time is over, although a thread of it hangs', async () => {
    const pipe = join(folder, 'pipe');
    await runCommand('mkfifo', [pipe], signal);
    const url = new URL('../../support/service/stuck-process.main.ts', import.meta.url);
    const child = spawn(process.execPath, [fileURLToPath(url), pipe], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = once(child, 'exit');
    const said = once(child.stdout, 'data');
    await said;
    const last = once(child.stdout, 'data');

    child.kill('SIGTERM');

    expect(String(await last)).toBe('overdue');
    expect(await gone).toEqual([null, 'SIGKILL']);
  });
});
