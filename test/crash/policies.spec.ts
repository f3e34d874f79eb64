import { KilledService } from '../support/service/killed-service.ts';
import { addRawVm } from '../support/service/raw-vm.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;
const TIMEOUT_MS = 300_000;
const { signal } = new AbortController();
const POLICY = `
name: hourly
selector: { all: true }
vault: main
schedule: { every: 1h }
`;

interface Run {
  readonly id: string;
  readonly state: string;
  readonly why: string | null;
  readonly attempt: number;
  readonly point_id: string | null;
}

describe('A service that is killed during the run of a policy', () => {
  let lab: KilledService;

  beforeAll(async () => {
    lab = await KilledService.create(signal);
  }, TIMEOUT_MS);
  afterAll(async () => lab[Symbol.asyncDispose]());

  it(
    'takes the point in another attempt, by itself, and one alone',
    async () => {
      const { client } = lab.service;
      await addRawVm(client, { folder: lab.folder, name: 'web', bytes: 64 * MIB }, signal);
      await client.call('applyPolicies', { body: { text: POLICY } }, signal);

      const killed = await lab.killAfterAbsence<Run>(2 * HOUR_MS);
      const [missed, sealed] = await lab.runsWhen<Run>((runs) =>
        runs.some(({ state }) => state === 'sealed'),
      );

      expect(killed.map(({ attempt }) => attempt)).toEqual([0, 1]);
      expect(missed).toMatchObject({ state: 'skipped', why: 'missed', attempt: 0 });
      expect(sealed).toMatchObject({ state: 'sealed', attempt: 2 });
      const { points } = await lab.service.client.call('listPoints', {}, signal);
      expect(points).toMatchObject([
        { id: sealed?.point_id, origin: { kind: 'policy', run: sealed?.id, attempt: 2 } },
      ]);
    },
    TIMEOUT_MS,
  );
});
