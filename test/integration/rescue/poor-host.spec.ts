import { PoorHost } from '../../support/poor-host/poor-host.ts';
import { SURROUNDINGS } from '../../support/poor-host/surroundings.ts';

/** What needs no mounts of its own; `npm run soak -- poor-host` has the rest. */
describe('a host that lacks something', () => {
  it('gets a fault with a next step, or what it asked for where nothing needed is lacking', async () => {
    await using host = await PoorHost.open('slice');
    const pairs = [
      ['cache is a file', 'restore qcow2'],
      ['no TMPDIR', 'restore qcow2'],
      ['24 open files', 'import'],
      ['target is a file', 'restore raw'],
    ] as const;
    const trials = await Promise.all(
      pairs.map(async ([name, command]) => {
        const surrounding = SURROUNDINGS.find((one) => one.name === name);
        if (surrounding === undefined) {
          throw new Error(`there is no surrounding ${name}`);
        }
        const { exitCode, output, wrong } = await host.run(surrounding, command);
        return { name, exitCode, wrong: wrong.map((what) => `${what}: ${output}`) };
      }),
    );

    expect(trials.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect(trials.map(({ exitCode }) => exitCode)).toEqual([0, 0, expect.any(Number), 5]);
  });
});
