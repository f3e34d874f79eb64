/** Giving recovery points up and getting their space back. */
export const COLLECT_ADVICE = {
  'vault.point-held': {
    happened: 'A recovery point that should be given up is held.',
    data: 'Nothing was changed; no point was given up.',
    next: 'Leave it out, or release the hold with "hyperkeep points release" (or "rescue hold --release") if you may.',
  },
  'vault.point-condemned': {
    happened:
      'A recovery point that was given up cannot come back: a collection condemned some of its data.',
    data: 'Points that were not given up are not affected.',
    next: 'Restore another point. What a collection condemned may be gone at any moment.',
  },
  'vault.collect-unsure': {
    happened:
      'The collection cannot read all recovery points, so it does not know what is still needed.',
    data: 'Nothing was removed.',
    next: 'Verify the point that the message names; repair it from a copy, or give it up, then collect again.',
  },
} as const;
