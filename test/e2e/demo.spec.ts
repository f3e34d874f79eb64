import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../src/kernel/command.ts';
import { Draw } from '../support/draw.ts';

/** A run draws one place of two. Both: `npm run soak -- drawn`. */
const draw = new Draw('demo');
const ROOT = join(import.meta.dirname, '../..');
const TIMEOUT_MS = 900_000;
const { signal } = new AbortController();

const PLACES = [
  { title: 'a folder', words: [] },
  { title: 'a bucket of a MinIO server', words: ['--s3'] },
];

describe('The demo', () => {
  it.each(draw.some(PLACES, 1))(
    'loses a VM and brings it back from $title, and leaves nothing behind',
    async ({ words }) => {
      const { stdout } = await runCommand(
        process.execPath,
        [join(ROOT, 'demo/main.ts'), ...words],
        signal,
      );

      expect(stdout).toContain('e2fsck -fn is clean; the journal is gap-free up to line');
      expect(stdout).toMatch(/disk data +[\d.]+ [KM]iB read \(changed-extents\)/);
      expect(stdout).toMatch(/From inside, after boot 2: ok lines=\d+/);
      expect(stdout).toContain('lost, and back as it was');
      const [folder = ''] = /\/\S*hyperkeep-demo-\w+/.exec(stdout) ?? [];
      expect(folder).not.toBe('');
      expect(existsSync(folder)).toBe(false);
      const processes = await runCommand('pgrep', ['-fa', folder], signal, { accept: [0, 1] });
      expect(processes.stdout).toBe('');
    },
    TIMEOUT_MS,
  );
});
