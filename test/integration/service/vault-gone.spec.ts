import { mkdir, mkdtemp, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PointList } from '../../../src/api/contract/points.ts';
import { Vm } from '../../../src/api/contract/vms.ts';
import { FakeEngine } from '../../support/fake-engine/fake-engine.ts';
import { MiB } from '../../../src/kernel/text/bytes.ts';
import { SystemClock } from '../../../src/kernel/clock.ts';
import { cliRun } from '../../support/service/cli-run.ts';
import { LoopMount } from '../../support/guest/loop-mount.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { TestService } from '../../support/service/service.ts';

const PASSPHRASE = 'correct horse battery staple';
const DISK_BYTES = 8 * MiB;
const signal = AbortSignal.timeout(300_000);

/**
 * Stays within one day: over midnight UTC a backup also reads what it proves of change tracking.
 */
class NoonClock extends SystemClock {
  private ms = Date.UTC(2026, 0, 15, 12);

  override nowMs(): number {
    this.ms += 1;
    return this.ms;
  }
}

let engine: FakeEngine;
let service: TestService;
let folder: string;
beforeEach(async () => {
  engine = new FakeEngine(new NoonClock());
  service = await TestService.start(engine);
  folder = await mkdtemp(join(tmpdir(), 'hk-service-gone-'));
});
afterEach(async () => {
  await service.remove();
  await rm(folder, { recursive: true });
});

/** A VM that is powered off, with a vault at `location` and a first point in it. */
async function powered(location: string): Promise<Vm> {
  const made = await service.post('/vaults', { name: 'main', location, passphrase: PASSPHRASE });
  expect(made).toMatchObject({ status: 201 });
  const path = join(folder, 'off.raw');
  await writeFile(path, '');
  await truncate(path, DISK_BYTES);
  const disks = [{ name: 'system', path, format: 'raw' }];
  const { status, body } = await service.post('/vms', { name: 'off', disks, nics: [] });
  expect(status).toBe(201);
  const vm = Vm.parse(body);
  engine.write(vm.id, 'system', MiB, seededBytes('off', 2 * MiB));
  expect(await service.run('/backups', { vm: 'off' })).toMatchObject({ state: 'succeeded' });
  return vm;
}

async function pointsAfterRefresh(): Promise<number> {
  const { body } = await service.get('/points?vm=off&refresh=true');
  return PointList.parse(body).points.length;
}

/** Expects what must hold however a vault goes away and comes back. */
async function expectAbsence(
  vm: Vm,
  away: () => Promise<void>,
  back: () => Promise<void>,
): Promise<void> {
  await away();
  for (const request of [{ vm: 'off' }, { vm: 'off', full: true }]) {
    expect(await service.run('/backups', request)).toMatchObject({
      state: 'failed',
      fault: { code: 'vault.not-found' },
    });
  }
  await back();
  engine.write(vm.id, 'system', 5 * MiB, seededBytes('later', MiB));
  const next = await service.run('/backups', { vm: 'off' });
  expect(next).toMatchObject({ state: 'succeeded', result: { notes: [] } });
  expect(next.result).toMatchObject({ disks: [{ method: 'changed-extents', readBytes: MiB }] });
  expect(await pointsAfterRefresh()).toBe(2);
  expect(await service.run('/verifications', { vm: 'off' })).toMatchObject({ state: 'succeeded' });
}

describe('a vault that goes away while the service has it open', () => {
  it('fails the backups, is not made anew, and goes on when its folder is back', async () => {
    const place = join(folder, 'disk', 'vault');
    await mkdir(join(folder, 'disk'));
    const vm = await powered(place);

    await expectAbsence(
      vm,
      async () => {
        await rename(place, join(folder, 'away'));
      },
      async () => {
        expect(await readdir(join(folder, 'disk'))).toEqual([]);
        await rename(join(folder, 'away'), place);
      },
    );
  });

  it('is opened anew when the one at its place was replaced by itself without packs', async () => {
    const place = join(folder, 'vault');
    await powered(place);
    await rm(join(place, 'd'), { recursive: true });

    const next = await service.run('/backups', { vm: 'off' });

    expect(next).toMatchObject({
      state: 'succeeded',
      result: { disks: [{ method: 'full', reason: 'parent-damaged' }] },
    });
    const whole = await service.run('/verifications', { vm: 'off', level: 3 });
    expect(whole).toMatchObject({ state: 'succeeded' });
  });

  const mounted = LoopMount.make();
  if (typeof mounted === 'string') {
    it.skip(`on a disk that is unmounted (not tried, because nobody may mount here: ${mounted})`, () =>
      undefined);
  } else {
    afterAll(() => {
      mounted[Symbol.dispose]();
    });

    it('writes nothing under the mount point of a disk that is unmounted', async () => {
      const place = join(mounted.path, 'vault');
      const vm = await powered(place);

      await expectAbsence(
        vm,
        async () => {
          mounted.unmount();
        },
        async () => {
          expect(await readdir(mounted.path)).toEqual([]);
          const image = join(folder, 'off.raw');
          const command = ['rescue', 'import', image, '--vm', 'x', '--vault', place];
          const run = await cliRun(command, { folder, passphrase: PASSPHRASE, signal });
          expect(run).toMatchObject({ exitCode: 4 });
          expect(run.stderr).toContain('vault.not-found');
          expect(await readdir(mounted.path)).toEqual([]);
          mounted.mount();
        },
      );
    });
  }
});
