import { Fault } from '../../kernel/fault.ts';
import type { ObjectKey } from '../store/object-store.ts';

/**
 * Version of everything that this program writes: docs/vault-format.md. Section 17 says what
 * changes with it.
 */
export const FORMAT_VERSION = 1;

/**
 * @param known for tests of other programs' versions
 * @throws Fault `vault.format-newer`, `vault.format-preliminary`
 */
export function refuseOtherVersion(version: number, key: ObjectKey, known = FORMAT_VERSION): void {
  if (version > known) {
    throw new Fault(
      'vault.format-newer',
      `${key} was written in vault format ${version}; this program knows up to ${known}. Use a newer program; the vault is unharmed.`,
      { version, key },
    );
  }
  if (version < known) {
    throw new Fault(
      'vault.format-preliminary',
      `${key} was written in vault format ${version}, which was never released; this program knows format ${known}. Restore what you need with the program that wrote it, and back up to a new vault.`,
      { version, key },
    );
  }
}
