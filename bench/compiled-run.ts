import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';

/** This checkout of Hyperkeep. */
export const ROOT = join(import.meta.dirname, '..');

/**
 * Path of `hyperkeep-run.ts` of a checkout as plain JavaScript below `folder`: what people run is
 * compiled, so stripping types must not be part of a measured run.
 */
export function compiledRun(folder: string, root = ROOT): string {
  const path = join(folder, 'hyperkeep-run.mjs');
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    const source = readFileSync(join(root, 'bench', 'hyperkeep-run.ts'), 'utf8');
    writeFileSync(path, stripTypeScriptTypes(source));
  }
  return path;
}
