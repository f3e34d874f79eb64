// node test/compat/make-golden-vault.ts
//
// Makes the golden vaults of the present format in test/compat/golden/v<version>. What is there
// already is never written to: a version that was released does not change.
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { FORMAT_VERSION } from '../../src/vault/format/format-version.ts';
import { makeGoldenVaults } from './golden-scenario.ts';

const folder = fileURLToPath(new URL(`golden/v${String(FORMAT_VERSION)}`, import.meta.url));
if (existsSync(folder)) {
  console.error(`${folder} is there already, and golden vaults are never changed.`);
  process.exit(1);
}
const growing = `${folder}.partial`;
await rm(growing, { recursive: true, force: true });
await makeGoldenVaults(growing);
await rename(growing, folder);
console.log(`${folder} written`);
