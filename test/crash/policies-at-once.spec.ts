import { randomUUID } from 'node:crypto';
import { pointKey, sealKey } from '../../src/vault/format/object-names.ts';
import type { S3ObjectStore } from '../../src/vault/object-stores/s3/s3-object-store.ts';
import { MemoryDisk } from '../support/disk/memory-disk.ts';
import { Draw } from '../support/draw.ts';
import { problemsOf, type RunEvidence } from '../support/homes/findings.ts';
import { gather } from '../support/homes/gather.ts';
import { ALL_HOSTS } from '../support/homes/home.ts';
import { HomesLab, POLICY } from '../support/homes/homes-lab.ts';
import type { KillStep } from '../support/homes/kills.ts';
import { backUp } from '../support/vault/vault-lab.ts';

const TIMEOUT_MS = 300_000;
const { signal } = new AbortController();
const draw = new Draw('services at once');
const HOMES = 2;
const VMS = 3;
/** What each home is killed at, in this order. */
const STEPS: readonly (readonly KillStep[])[] = [
  [
    { name: 'claim', moment: 'before' },
    { name: 'W1', moment: 'after' },
  ],
  [
    { name: 'job claim', moment: 'after' },
    { name: 'freeze', moment: 'after' },
    { name: 'row', moment: 'before' },
  ],
];

describe('Services on one database that are killed during the runs of a policy', () => {
  let lab: HomesLab;
  let store: S3ObjectStore;

  const problems = async (): Promise<string[]> => problemsOf(await gather(lab, store));

  beforeAll(async () => {
    lab = await HomesLab.open({ homes: HOMES, vms: VMS, seed: draw.seed });
    store = await lab.openStore();
    await lab.begin();
  }, TIMEOUT_MS);
  afterAll(async () => {
    await store.close();
    await lab[Symbol.asyncDispose]();
  }, TIMEOUT_MS);

  it(
    'take one point of each VM, whichever is killed at which step, and leave nothing behind',
    async () => {
      await lab.apply('30d');
      const killed = lab.homes.map(async (home, index) => {
        for (const step of STEPS[index] ?? []) {
          await lab.kills.at(step, home);
          await home.gone();
          await home.start();
        }
      });
      const run = { path: { policy: POLICY }, body: {} };
      // The answer may be lost: a service dies as soon as there are runs.
      await Promise.allSettled([lab.homes.at(-1)?.client.call('runPolicy', run, signal)]);
      await Promise.all(killed);
      await lab.ended(HOMES * VMS);

      const evidence = await gather(lab, store);
      expect(problemsOf(evidence)).toEqual([]);
      expect(evidence.runs.map(({ state }) => state)).toEqual(
        Array.from({ length: HOMES * VMS }, () => 'sealed'),
      );
      expect(evidence.points).toHaveLength(HOMES * VMS);
    },
    TIMEOUT_MS,
  );

  it(
    'would be found out: two points of a run, a point too few, a frozen VM, a limit exceeded',
    async () => {
      const [run] = (await lab.runs()) as [RunEvidence];
      const vault = await lab.openVault(store);
      const vm = { vmId: randomUUID(), vmName: 'other' };
      const disk = new MemoryDisk(8192);
      const { id } = await backUp(vault, disk, { vm, origin: { kind: 'policy', run: run.id } });
      await vault.close();
      expect(await problems()).toEqual([expect.stringMatching(`^2 points of run ${run.id}`)]);
      for (const [vmId, point] of [
        [vm.vmId, id],
        [run.vm_id, run.point_id ?? ''],
      ] as const) {
        await store.remove(sealKey(vmId, point), signal);
        await store.remove(pointKey(vmId, point), signal);
      }
      expect(await problems()).toEqual([
        expect.stringMatching(`^the vault has no point of run ${run.id}`),
      ]);

      const home = lab.homes.find((each) => each.has(run.vm_id));
      const frozen = await home?.engine.freeze(run.vm_id, { jobToken: 'lost' }, signal);
      expect(await problems()).toContain(
        `a VM of ${home?.name ?? ''} is frozen, or held by nobody who lives`,
      );
      await frozen?.[Symbol.asyncDispose]();
      for (const user of ['a', 'b', 'c', 'd']) {
        lab.limits.begin(ALL_HOSTS, user);
      }
      expect(await problems()).toContain(`${ALL_HOSTS}: 4 at once, at most 3`);
    },
    TIMEOUT_MS,
  );
});
