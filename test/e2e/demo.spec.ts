import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../src/kernel/command.ts';
import { Draw } from '../support/draw.ts';

/** A run draws one demo of three. All: `npm run soak -- drawn`. */
const draw = new Draw('demo');
const ROOT = join(import.meta.dirname, '../..');
const TIMEOUT_MS = 900_000;
const { signal } = new AbortController();

const RESTORED = [
  /e2fsck -fn is clean; the journal is gap-free up to line/,
  /disk data +[\d.]+ [KM]iB read \(changed-extents\)/,
  /From inside, after boot 2: ok lines=\d+/,
  /lost, and back as it was/,
];
const DEMOS = [
  { title: 'loses a VM and brings it back from a folder', words: [], tells: RESTORED },
  { title: 'loses a VM and brings it back from a bucket', words: ['--s3'], tells: RESTORED },
  {
    title: 'has a day of a policy with a kill, an outage and a new VM',
    words: ['--day'],
    tells: [
      /The service is back, and goes on by itself/,
      /The S3 server is back/,
      /HOUR \(UTC\) +SHOP +MAIL +WIKI/,
      /runs are sealed, each with exactly one point/,
      /points are given up, \d+ are left/,
      /demo +copy offsite .* has every point/,
      /every run is accounted for/,
    ],
  },
];

describe('The demo', () => {
  it.each(draw.some(DEMOS, 1))(
    '$title, and leaves nothing behind',
    async ({ words, tells }) => {
      const { stdout } = await runCommand(
        process.execPath,
        [join(ROOT, 'demo/main.ts'), ...words],
        signal,
      );

      for (const expected of tells) {
        expect(stdout).toMatch(expected);
      }
      const [folder = ''] = /\/\S*hyperkeep-demo-\w+/.exec(stdout) ?? [];
      expect(folder).not.toBe('');
      expect(existsSync(folder)).toBe(false);
      const processes = await runCommand('pgrep', ['-fa', folder], signal, { accept: [0, 1] });
      expect(processes.stdout).toBe('');
    },
    TIMEOUT_MS,
  );
});
