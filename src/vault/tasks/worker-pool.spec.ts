import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ChunkingSecrets } from './store-task.ts';
import { WorkerPool } from './worker-pool.ts';

const SECRETS: ChunkingSecrets = {
  chunker: { minSectors: 4, cutBits: 4, maxSectors: 32 },
  chunkId: 'hmac-sha256',
  chunkIdKey: new Uint8Array(32),
  cutKey: new Uint8Array(132),
};
const DIGEST = { kind: 'digest', bytes: new Uint8Array([1, 2, 3]) } as const;

/** A worker that never answers. */
const DEAF = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', () => undefined);
`;

describe('worker threads that are started early', () => {
  it('do what they are told once they have the keys', async () => {
    const pool = new WorkerPool(2);
    pool.warm();
    pool.arm(SECRETS);

    expect(await Promise.all([pool.run(DIGEST), pool.run(DIGEST), pool.run(DIGEST)])).toEqual(
      Array.from({ length: 3 }, () => expect.objectContaining({ length: 32 }) as unknown),
    );
    await pool.close();
  });

  it('can be ended without ever getting them', async () => {
    const pool = new WorkerPool(2);
    pool.warm();

    await pool.close();
  });
});

describe('a worker thread that dies', () => {
  it('fails what it was doing with a fault, and the next task gets a new one', async () => {
    const started: Worker[] = [];
    const pool = new WorkerPool(1, () => {
      const isFirst = started.length === 0;
      const worker = isFirst
        ? new Worker(DEAF, { eval: true })
        : new Worker(new URL('./vault.worker.ts', import.meta.url));
      started.push(worker);
      return worker;
    });
    pool.arm(SECRETS);
    const running = [pool.run(DIGEST), pool.run(DIGEST)].map((task) =>
      expect(task).rejects.toMatchObject({ code: 'vault.worker-lost' }),
    );
    const queued = pool.run(DIGEST);
    const [first] = started;
    if (first !== undefined) {
      await once(first, 'online');
      await first.terminate();
    }

    await Promise.all(running);
    expect(await queued).toHaveLength(32);
    expect(started).toHaveLength(2);
    await pool.close();
  });

  it('ends everything that was asked for when the pool is closed', async () => {
    const pool = new WorkerPool(1, () => new Worker(DEAF, { eval: true }));
    pool.arm(SECRETS);
    const tasks = Array.from({ length: 5 }, () =>
      expect(pool.run(DIGEST)).rejects.toMatchObject({ code: 'vault.worker-lost' }),
    );

    await pool.close();

    await Promise.all(tasks);
  });
});

describe('a pool whose idle threads end', () => {
  it('finishes what runs, and still does what is asked for later', async () => {
    const started: Worker[] = [];
    const ended: Promise<unknown>[] = [];
    const pool = new WorkerPool(2, () => {
      const worker = new Worker(new URL('./vault.worker.ts', import.meta.url));
      started.push(worker);
      ended.push(once(worker, 'exit'));
      return worker;
    });
    pool.warm();
    pool.arm(SECRETS);
    const running = pool.run(DIGEST);

    await pool.endIdle();

    expect(await running).toHaveLength(32);
    // The worker that ran nothing ends; the other one goes on.
    expect(started.map(({ threadId }) => threadId === -1)).toEqual([false, true]);
    await pool.endIdle();
    await Promise.all(ended);
    expect(await pool.run(DIGEST)).toHaveLength(32);
    expect(started).toHaveLength(3);
    await pool.close();
    await Promise.all(ended);
  });
});
