// npm run soak -- drawn [PATTERN]
//
// Runs the tests that draw a part of what they could try (or those whose path matches), with all of
// it: `npm test` draws another part in each run.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { jestParameters } from '../../scripts/setup/test.mjs';

const root = join(import.meta.dirname, '../..');
const [pattern = ''] = process.argv.slice(2);
const files = ['src', 'test']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      join(root, folder, name),
    ),
  )
  .filter((path) => path.endsWith('.spec.ts') && path.includes(pattern))
  .filter((path) => /\/draw[.]ts'/.test(readFileSync(path, 'utf8')));
const { status } = spawnSync(process.execPath, jestParameters(root, files.join('|')), {
  cwd: root,
  env: { ...process.env, HYPERKEEP_DRAW: 'all' },
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
