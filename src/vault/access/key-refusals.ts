import { Fault } from '../../kernel/fault.ts';
import type { VaultFormat } from '../control/format-object.ts';
import { refuseLongLabel } from '../keys/key-object.ts';
import { KEY_BYTES, type KeyTree } from '../keys/key-tree.ts';
import { KEY_VERSIONS_MAX } from '../format/limits.ts';
import { refuseWeakPassphrase } from '../keys/recovery-file.ts';

/** What can refuse a change of keys before any of it is done. */

export interface NewPassphrase {
  readonly passphrase: string;
  readonly label: string;
}

/** Refuses a retention key too many for the format. @throws Fault `vault.limit-reached` */
export function refuseAnotherRetention({ retention }: VaultFormat): void {
  if (retention.earlier.length >= KEY_VERSIONS_MAX) {
    throw new Fault(
      'vault.limit-reached',
      `The retention key of this vault was changed ${retention.earlier.length} times, and its format has room for no more. Nothing was changed; the vault works on with the keys that it has.`,
    );
  }
}

/** @throws Fault `request.invalid`, `vault.weak-passphrase`, `vault.limit-reached` */
export function refuseRotation(
  passphrases: readonly NewPassphrase[],
  { keyring }: KeyTree,
  format: VaultFormat,
): void {
  if (passphrases.length === 0 || keyring.length >= KEY_VERSIONS_MAX * KEY_BYTES) {
    throw new Fault(
      'request.invalid',
      passphrases.length === 0
        ? 'A rotation needs at least one passphrase that opens the vault afterwards.'
        : 'The keys of this vault were rotated as often as its format allows. Copy its points to a new vault.',
    );
  }
  if (!format.retention.separate) {
    refuseAnotherRetention(format);
  }
  for (const { passphrase, label } of passphrases) {
    refuseWeakPassphrase(passphrase);
    refuseLongLabel(label);
  }
}

export function retentionMissing(): Fault {
  return new Fault(
    'vault.retention-key-missing',
    'This needs the retention key of the vault. Set HYPERKEEP_RETENTION_PASSPHRASE_FILE and repeat. Nothing was changed.',
  );
}
