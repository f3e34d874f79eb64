/** Copies of vaults, and what storage costs. */
export const COPY_ADVICE = {
  'copy.same-place': {
    happened: 'Source and target of the copy are the same place.',
    data: 'Nothing was changed.',
    next: 'Name another folder or bucket with --to.',
  },
  'copy.other-vault': {
    happened: 'There is another vault at the place of the copy.',
    data: 'No recovery point was added there, and those that it had are what they were.',
    next: 'If a copy should be there, see that its disk is mounted. Else choose an empty folder or prefix.',
  },
  'copy.target-collected': {
    happened:
      'Space was collected in the copy itself. Its collector did not know the recovery points that were still to come.',
    data: 'The copy can be restored from and written to, and the source is not touched; no recovery point was added to the copy.',
    next: 'Copy to a new place. Space in a copy that is to be refreshed comes back with --prune, not with a collection.',
  },
  'copy.overtaken': {
    happened:
      'Packs vanished from the source, or from the copy, while they were copied; in the source usually by a collection.',
    data: 'What was copied stays. Recovery points that are in the copy are whole.',
    next: 'Run the command again when the collection has ended: nothing is sent twice. If packs vanish from the copy, look who removes objects there.',
  },
  'copy.wrong-object': {
    happened: 'An object of the source is not as long as it was listed, or longer than any may be.',
    data: 'It was not copied. Recovery points that are in the copy are whole.',
    next: 'Find out who else writes to the source, and verify it.',
  },
  'copy.damaged': {
    happened:
      'The copy is complete, but some objects of the source do not match their own checksums, or differ in the target.',
    data: 'Damaged packs were copied as they are; what is whole in them can be restored. Objects that the copy had before were not replaced by damaged ones.',
    next: 'Run "rescue verify" on both places, or "hyperkeep verify" on the source, to see which recovery points are hit, and repair the source from the copy where that is whole.',
  },
  'budget.reached': {
    happened: 'The job would have gone over the limit that it was given.',
    data: 'It stopped between two requests. Earlier recovery points are not touched; what was stored is used by the next run.',
    next: 'Raise --max-requests, --max-bytes or --max-cost and run the command again: it goes on where it stopped.',
  },
  'budget.prices-invalid': {
    happened: 'The price table is not one.',
    data: 'Nothing was changed.',
    next: 'Compare the file with the example in docs/cli.md.',
  },
} as const;
