/** What is protected, and how often. */
export const POLICY_ADVICE = {
  'policy.invalid': {
    happened: 'A file with policies has mistakes; the message names file, line and column of each.',
    data: 'No policy was changed, also none of those without a mistake.',
    next: 'Correct them and run it again, first with --dry-run; docs/protection.md has every field.',
  },
  'suspicion.unknown': {
    happened: 'No content of this VM looks encrypted, or several VMs have the name.',
    data: 'Nothing was changed.',
    next: 'Look at "hyperkeep suspicion list" and give the id of the VM.',
  },
  'care.unknown': {
    happened: 'Nothing of this name is done for the vault by itself.',
    data: 'Nothing was changed.',
    next: 'Look at "hyperkeep care list VAULT" for the names; copies are described under "care" in the file of policies.',
  },
  'policy.unknown': {
    happened: 'No policy has this name.',
    data: 'Nothing was changed.',
    next: 'Look at "hyperkeep policy list"; "policy history NAME" also knows those that were removed.',
  },
  'policy.unreadable': {
    happened:
      'The stored text of a policy cannot be read by this version of Hyperkeep: another version wrote it, or somebody changed the database.',
    data: 'It takes no points, and those that are due wait. All other policies go on.',
    next: 'Run the version that wrote it, or apply the policy anew with "hyperkeep apply -f FILE".',
  },
  'policy.plan-changed': {
    happened:
      'What the file would change is not what it was when you looked: policies, VMs or tags changed meanwhile.',
    data: 'No policy was changed.',
    next: 'Look again with "hyperkeep apply -f FILE --dry-run" and apply that plan.',
  },
  'policy.commands-refused': {
    happened:
      'A policy has commands that would run inside guests as their administrator, and the service does not allow that.',
    data: 'No policy was changed and nothing ran.',
    next: 'Take guestCommands out, or read them and start the service with GUEST_COMMANDS=allowed.',
  },
  'backup.command-failed': {
    happened:
      'A command that a policy runs inside the guest before the freeze ended with another exit code than 0, did not end in time, or could not be started.',
    data: 'No recovery point was taken. The commands after the freeze ran all the same; earlier points are not touched.',
    next: 'Look at what it printed with "hyperkeep jobs show JOB" and correct it in the guest. The policy decides whether a point is taken all the same (onFailure: crash-consistent).',
  },
  'backup.group-late': {
    happened:
      'The guests of a group were to be frozen at one moment, and one of them did not freeze its file systems in time.',
    data: 'No recovery point was taken of any of them; none is frozen, and what their disks wrote meanwhile is kept.',
    next: 'Look at the guest agent of that VM; the whole group is tried again. Allow more time (group.freezeWithin), or take such a VM crash-consistent (group.late).',
  },
  'backup.group-skewed': {
    happened: 'The snapshots of a group were further apart than its policy allows.',
    data: 'No recovery point was taken of any of its VMs.',
    next: 'The whole group is tried again. A busy host takes longer: allow more (group.spread), or back up at another time.',
  },
  'policy.group-refused': {
    happened:
      'The VMs of a policy with "group" cannot be frozen at one moment: they are on several hosts, or too many.',
    data: 'No recovery point was taken of any of them.',
    next: 'Move the VMs to one host, choose fewer, or take the group out of the policy.',
  },
  'policy.many-objects': {
    happened:
      'So many points a year would be taken and given up that opening the vault gets slow: each leaves a small object for good.',
    data: 'No policy was changed.',
    next: 'Back up less often, split the VMs over several vaults, or say that you mean it with --yes.',
  },
  'retention.clock-unsure': {
    happened:
      'The clock of this host differs by more than a minute from that of the database, or by more than an hour from that of the store: nobody can tell here how old points are.',
    data: 'No point was given up.',
    next: 'Set the clocks (NTP). It is decided again after the next run of a policy, at the latest tomorrow.',
  },
  'retention.catalog-older': {
    happened:
      'The vaults have points of runs that the database does not know: it was restored from an older dump.',
    data: 'No point was given up.',
    next: 'Look at "hyperkeep status", then "hyperkeep catalog accept".',
  },
  'retention.points-differ': {
    happened:
      'The vault and the catalog do not have the same points: a list leaves some out, somebody removed objects, or the catalog is behind.',
    data: 'No point was given up, and everything that is there stays.',
    next: 'Look at "hyperkeep points list --refresh" and check the store. If the named points are really gone: "hyperkeep policy retire NAME --these-points-are-gone ID".',
  },
};
