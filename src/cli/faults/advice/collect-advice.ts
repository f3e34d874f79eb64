/** Giving recovery points up and getting their space back. */
export const COLLECT_ADVICE = {
  'vault.point-held': {
    happened: 'A recovery point that should be given up is held.',
    data: 'Nothing was changed; no point was given up.',
    next: 'Leave it out, or release the hold with "hyperkeep points release" (or "rescue hold --release") if you may.',
  },
  'vault.point-being-read': {
    happened:
      'A recovery point that should be given up is being read: by a restore, a verification or a copy, here or on another machine.',
    data: 'Nothing was changed; no point was given up.',
    next: 'Wait until it has been read: the message says by whom. If that machine died, its lease ends by itself within the hour.',
  },
  'collector.database-shared': {
    happened: 'A collector was started on a database that another host uses, or used.',
    data: 'Nothing was changed; nothing was given up.',
    next: 'Give the collector a database of its own (DATABASE_URL, or none: it then runs its own).',
  },
  'collector.clock-disagrees': {
    happened:
      'The clock of a collector and that of the store differ by more than an hour, so how old recovery points are is not known.',
    data: 'Nothing was given up.',
    next: 'Set the clock that is wrong; the next look goes on.',
  },
  'vault.record-unreadable': {
    happened:
      'A record that a service left in the vault for others (under cat/) is damaged, of a newer program, or not by a holder of the key.',
    data: 'No recovery point depends on records.',
    next: 'Usually nothing: it is ignored, and the service that wrote it writes a new one. If it repeats, look who else writes to the store.',
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
  'vault.collect-unproven': {
    happened:
      'Most of the vault would be removed, and no recovery point that was given up explains why.',
    data: 'Nothing was removed. Either the store does not list all recovery points, or backups that never ended left this behind.',
    next: 'Look with "hyperkeep rescue points" whether every point that should be there is listed. If so, prune with --all-points-are-listed; if not, try again later, or compare with a copy.',
  },
  'vault.list-incomplete': {
    happened: 'A list that the store gave leaves out objects that are there.',
    data: 'Nothing was removed. The objects that the list leaves out are in the store.',
    next: 'Run it again later. If it stays so, look at the store and at every proxy before it: "hyperkeep rescue probe" tries what it can do.',
  },
  'vault.points-missing': {
    happened: 'Recovery points that should be in the vault are not there, and nobody gave them up.',
    data: 'Nothing was removed, so what the missing points need is still there; they themselves may be lost.',
    next: 'Look who removed them, and bring them back from a copy with "hyperkeep rescue repair --copy". If they are lost for good, prune with --these-points-are-gone and their ids.',
  },
  'vault.objects-missing': {
    happened:
      'Objects that this machine has read are not in the vault any more, and no program removes such objects: aliases, through which points find data that was merged, or holds on points.',
    data: 'Nothing was removed. Data that only a missing alias led to are still there; the points that need them may not find them.',
    next: 'Look who removed them, and bring them back from a copy with "hyperkeep rescue repair --copy". If they are lost for good, see with verify which points still stand, then prune with --these-objects-are-gone and their names.',
  },
} as const;
