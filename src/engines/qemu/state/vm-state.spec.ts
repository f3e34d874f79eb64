import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withWarnings } from '../layers/identity-journal.ts';
import { fittingWhy, loadVmState, storeVmState, WARNINGS_MAX } from './vm-state.ts';

const vmId = '7d444840-9dc0-11d1-b245-5ffdce74fad2';
const identity = { device: '1', inode: '2' };
const settled = { ...identity, settled: { sizeBytes: 3, modifiedNs: '4', backing: '' } };

const FACTS = {
  id: 'data',
  index: 0,
  excluded: false,
  trackingId: '11111111-9dc0-41d1-b245-5ffdce74fad2',
  generation: 5,
  frozenSizeBytes: 512,
  nextLayer: 4,
  layers: [
    { number: 0, path: '/x/data', format: 'raw', identity },
    { number: 2, path: '/x/data.hk-2.qcow2', format: 'qcow2', identity: settled },
    { number: 3, path: '/x/data.hk-3.qcow2', format: 'qcow2', identity },
  ],
  unlogged: [],
  topUntouched: false,
};

/** What version 1 wrote during a merge. */
const VERSION_1 = {
  version: 1,
  vmId,
  started: 'guest',
  freezeSent: false,
  leftovers: ['/x/old'],
  releasing: false,
  disks: [{ ...FACTS, merging: true }],
  warnings: ['told before'],
};

describe('The state file of a VM', () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp('/tmp/hk-state-');
    path = join(folder, 'state.json');
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('of version 1 is read, with its merge that goes on', async () => {
    await writeFile(path, JSON.stringify(VERSION_1));

    const state = await loadVmState(path, vmId);

    expect(state).toMatchObject({
      version: 2,
      vmId,
      started: 'guest',
      fence: 0,
      stoppedInOrder: false,
      leftovers: ['/x/old'],
      warnings: ['told before'],
      disks: [
        {
          ...FACTS,
          mergeIntent: { base: identity, layer: 2, generation: 5 },
        },
      ],
    });
    expect(Object.keys(state)).not.toContain('releasing');
    await storeVmState(path, state);
    expect(await loadVmState(path, vmId)).toEqual(state);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ version: 2 });
  });

  it('takes any text that says why layers were not merged, and the newest warnings', async () => {
    await writeFile(path, JSON.stringify(VERSION_1));
    const before = await loadVmState(path, vmId);
    const whyUnmerged = fittingWhy(`${'/long'.repeat(800)} is a file of another VM too`);
    const more = Array.from({ length: 2 * WARNINGS_MAX }, (_, at) => `warning ${String(at)}`);
    const disks = before.disks.map((disk) => ({ ...disk, whyUnmerged }));

    await storeVmState(path, { ...before, disks, warnings: withWarnings(before, more) });

    const {
      disks: [disk],
      warnings,
    } = await loadVmState(path, vmId);
    expect(disk?.whyUnmerged).toMatch(/^\/long.* \[…\]$/u);
    expect(warnings).toEqual(more.slice(-WARNINGS_MAX));
  });

  it('of a newer version is refused with words, and stays', async () => {
    const text = JSON.stringify({ ...VERSION_1, version: 3, more: true });
    await writeFile(path, text);

    await expect(loadVmState(path, vmId)).rejects.toMatchObject({ code: 'engine.state-newer' });
    await expect(loadVmState(path, vmId)).rejects.toThrow('newer Hyperkeep');
    expect(await readFile(path, 'utf8')).toBe(text);
  });

  it.each([
    ['nothing', ''],
    ['half of it', JSON.stringify(VERSION_1).slice(0, 200)],
    ['version 1 with a field that is unknown', JSON.stringify({ ...VERSION_1, more: true })],
    ['another VM', JSON.stringify({ ...VERSION_1, vmId: FACTS.trackingId })],
    ['version 2 without its fields', JSON.stringify({ ...VERSION_1, version: 2 })],
  ])('is damaged when it holds %s', async (_, text) => {
    await writeFile(path, text);

    await expect(loadVmState(path, vmId)).rejects.toMatchObject({ code: 'engine.state-invalid' });
  });
});
