/** What is protected, and how often. */
export const POLICY_ADVICE = {
  'policy.invalid': {
    happened: 'A file with policies has mistakes; the message names file, line and column of each.',
    data: 'No policy was changed, also none of those without a mistake.',
    next: 'Correct them and run it again, first with --dry-run; docs/protection.md has every field.',
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
  'policy.many-objects': {
    happened:
      'So many points a year would be taken and given up that opening the vault gets slow: each leaves a small object for good.',
    data: 'No policy was changed.',
    next: 'Back up less often, split the VMs over several vaults, or say that you mean it with --yes.',
  },
};
