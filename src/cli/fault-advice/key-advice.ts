/** Advice for faults of a vault's keys and of the store's promises. */
export const KEY_ADVICE = {
  'vault.retention-key-missing': {
    happened:
      'Recovery points of this vault can be given up only with its retention key, which a machine that backs up does not hold.',
    data: 'Nothing was changed. Every recovery point is still there.',
    next: 'Repeat where the retention passphrase is known: HYPERKEEP_RETENTION_PASSPHRASE_FILE.',
  },
  'vault.key-outdated': {
    happened:
      'The keys of the vault were rotated after this passphrase, recovery file or stored key was made.',
    data: 'Nothing was changed. Whoever has one of the new keys can read everything.',
    next: 'Open the vault with a passphrase or recovery file of today. A service learns the new keys with "vault forget" and "vault add".',
  },
} as const;
