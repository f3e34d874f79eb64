/** Files of this machine, and what the system gives a process. */
export const FILE_ADVICE = {
  'file.missing': {
    happened: 'A file or folder that was named, or that is needed, is not there.',
    data: 'Nothing was changed there; earlier recovery points are not touched.',
    next: 'Check the name in the message, or make what is missing, and run the command again.',
  },
  'file.denied': {
    happened:
      'The system refuses access to a file or folder: its owner, its mode, or a mount that is read-only.',
    data: 'Nothing was changed there; earlier recovery points are not touched.',
    next: 'Give the user that runs Hyperkeep the right to it, or name another place, and run the command again.',
  },
  'file.exists': {
    happened: 'Something that is there already is in the way of a file or folder to be made.',
    data: 'It was not touched; earlier recovery points are not either.',
    next: 'Look what it is; move it away or name another place, and run the command again.',
  },
  'file.busy': {
    happened: 'Another program uses a file so that it cannot be used at the same time.',
    data: 'Nothing was changed there; earlier recovery points are not touched.',
    next: 'Wait until the other program has ended, and run the command again.',
  },
  'file.unfit': {
    happened:
      'A path cannot be what is needed: a file where a folder should be or the reverse, a circle of links, a name that is too long, or a file system that lacks something.',
    data: 'Nothing was changed there; earlier recovery points are not touched.',
    next: 'Name another place, or mend the one in the message, and run the command again.',
  },
  'file.failed': {
    happened:
      'The system could not read or write a file: a failing disk, or a network file system that is away.',
    data: 'Earlier recovery points are not touched; nothing half-written counts.',
    next: 'Look at the disk and at the log of the kernel ("dmesg"), and run the command again.',
  },
  'host.limit-reached': {
    happened: 'The system gives this process no more open files, processes or memory.',
    data: 'Earlier recovery points are not touched; nothing half-written counts.',
    next: 'Raise the limit ("ulimit -n 1024" or LimitNOFILE of the unit) or end other programs, and run the command again.',
  },
} as const;
