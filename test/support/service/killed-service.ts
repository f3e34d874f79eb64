import { once } from 'node:events';
import { watch } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuild } from '../../../scripts/setup/build.mjs';
import { createDatabase, type TestDatabase } from './database.ts';
import { RealService } from './real-service.ts';

/** A service with a vault and a policy, whose process dies in the middle of a run. */
export class KilledService implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly database: TestDatabase,
    public service: RealService,
    private readonly signal: AbortSignal,
  ) {}

  /** Starts the built service with a database of its own, and makes its vault. */
  static async create(signal: AbortSignal): Promise<KilledService> {
    await ensureBuild(join(import.meta.dirname, '../../..'));
    const folder = await mkdtemp(join(tmpdir(), 'hk-crash-'));
    await chmod(folder, 0o711);
    const database = await createDatabase();
    const service = await start(folder, database, signal);
    const location = join(folder, 'vault');
    await mkdir(location);
    const body = { name: 'main', location, passphrase: 'a b c d e f g h' };
    await service.client.call('createVault', { body }, signal);
    return new KilledService(folder, database, service, signal);
  }

  /**
   * Fires the policy as if the service had been away for so long, kills the service when it first
   * writes into the vault, and starts it again.
   * @returns the rows of the runs when it was dead
   */
  async killAfterAbsence<Run>(awayMs: number): Promise<Run[]> {
    const packs = watch(join(this.folder, 'vault'), { recursive: true });
    const written = once(packs, 'change');
    await this.database.run(`UPDATE "policy" SET "horizon_ms" = "horizon_ms" - ${String(awayMs)}`);
    await written;
    await this.service.kill();
    packs.close();
    const killed = await this.runs<Run>();
    this.service = await start(this.folder, this.database, this.signal);
    return killed;
  }

  /** Returns the rows of all runs, by fire time and VM. */
  async runs<Run>(): Promise<Run[]> {
    return (await this.database.run(
      'SELECT * FROM "run" ORDER BY "fire_at_ms", "vm_name"',
    )) as Run[];
  }

  /** Resolves with the runs once they are as wanted. */
  async runsWhen<Run>(isWanted: (runs: readonly Run[]) => boolean): Promise<Run[]> {
    for (let sinceMs = 0; ;) {
      const runs = await this.runs<Run>();
      if (isWanted(runs)) {
        return runs;
      }
      await this.service.logs('run.changed', sinceMs, this.signal);
      sinceMs = performance.now();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.stop();
    await this.database.drop();
    await rm(this.folder, { recursive: true });
  }
}

async function start(
  folder: string,
  database: TestDatabase,
  signal: AbortSignal,
): Promise<RealService> {
  return RealService.start(join(folder, 'home'), signal, { DATABASE_URL: database.url });
}
