/** Advice for faults of a vault's keys and of the store's promises. */
export const KEY_ADVICE = {
  'vault.retention-key-missing': {
    happened:
      'Recovery points of this vault can be given up only with its retention key, which a machine that backs up does not hold.',
    data: 'Nothing was changed. Every recovery point is still there.',
    next: 'Repeat where the retention passphrase is known: HYPERKEEP_RETENTION_PASSPHRASE_FILE.',
  },
  'vault.not-locked': {
    happened: 'The vault was created without object lock.',
    data: 'Nothing was changed.',
    next: 'There is nothing to extend. A vault with locks is made with "vault create --lock" or "rescue create --lock".',
  },
  'vault.store-unfit': {
    happened:
      'The store was tried, and it does not do something that a vault of this kind relies on.',
    data: 'Nothing was created and nothing was changed.',
    next: 'Use another store. A store whose lists lag can be used by one machine alone with --single-writer; one without working locks can be used without --lock.',
  },
  'vault.key-not-found': {
    happened: 'The vault has no key of that id, or several that begin so.',
    data: 'Nothing was changed.',
    next: 'See the ids with "hyperkeep rescue keys list".',
  },
  'vault.key-in-use': {
    happened:
      'The key that was to be removed is the one that opened the vault, its recovery file, or the last of its kind.',
    data: 'Nothing was changed: the vault still opens as before.',
    next: 'Open the vault with another passphrase to remove this one; make a new recovery file to replace the old one.',
  },
  'vault.keys-changed': {
    happened: 'Two commands changed the keys of the vault at the same time.',
    data: 'The vault opens with the passphrases of before, or with those of the command that went through. No data is touched.',
    next: 'See the keys with "hyperkeep rescue keys list", then repeat what is missing.',
  },
  'vault.key-outdated': {
    happened:
      'The keys of the vault were rotated after this passphrase, recovery file or stored key was made.',
    data: 'Nothing was changed. Whoever has one of the new keys can read everything.',
    next: 'Open the vault with a passphrase or recovery file of today. A service learns the new keys with "vault forget" and "vault add".',
  },
} as const;
