/** Hypervisors, VMs, disks and images. */
export const ENGINE_ADVICE = {
  'engine.vm-not-found': {
    happened: 'No VM of that name or id is known to Hyperkeep.',
    data: 'Nothing was changed.',
    next: 'See "hyperkeep vm list"; add a VM with "hyperkeep vm add FILE".',
  },
  'engine.none': {
    happened: 'This service is a collector: it cares for vaults only and has no VMs.',
    data: 'Nothing was changed.',
    next: 'Ask the service of the host that has the VM.',
  },
  'engine.vm-busy': {
    happened: 'Another operation holds the VM, usually a backup that is still running.',
    data: 'Nothing was changed; the other operation goes on.',
    next: 'Wait for it ("hyperkeep jobs") or cancel it, then run the command again.',
  },
  'engine.vm-running': {
    happened: 'The VM is running; this can be done only with a VM that is off.',
    data: 'Nothing was changed; the VM goes on.',
    next: 'Stop it with "hyperkeep vm stop VM --wait", then run the command again.',
  },
  'host.disk-full': {
    happened: "The host's disk is full.",
    data: 'Recovery points are not touched. A restore has left nothing half-written; a VM that was paused for it goes on when there is room.',
    next: 'Make room on the host. A paused VM needs nothing else; a restore or another command has to be run again.',
  },
  'engine.vm-exists': {
    happened: 'A VM of that name or id is on this host already.',
    data: 'Nothing was changed.',
    next: 'Choose another name (a restore: --as), or release the VM that is there.',
  },
  'engine.start-failed': {
    happened: 'QEMU did not start; the message carries its words.',
    data: 'The disks are not changed by it.',
    next: 'Correct what QEMU names (memory, a missing file, a device) and start the VM again.',
  },
  'engine.unreachable': {
    happened: 'QEMU did not answer, or its connection broke.',
    data: 'The change log on disk is whole; a backup that was running has no recovery point.',
    next: 'See "hyperkeep vm list". If the VM has ended, start it; the next backup goes on from what is known.',
  },
  'engine.refused': {
    happened: 'QEMU refused a command; the message carries its words.',
    data: 'Earlier recovery points are not touched.',
    next: 'Run the command again; if it comes back, report it with the message.',
  },
  'engine.agent-silent': {
    happened: 'The agent inside the guest did not answer in time.',
    data: 'The guest is not frozen. The recovery point is consistent as after a power cut.',
    next: 'Look at qemu-guest-agent in the guest; the next backup asks it again.',
  },
  'engine.image-refused': {
    happened:
      'An image of the VM is not one that can be run safely: wrong format, a damaged header, references to other files, or other images that stand on it.',
    data: 'Nothing was changed.',
    next: 'Name the right format in the definition, or make an image that stands alone with "qemu-img convert". Never commit an image into one that others stand on.',
  },
  'engine.image-missing': {
    happened: 'A file that a disk of the VM consists of is gone.',
    data: 'The disk is not whole on this host. Its recovery points are not touched.',
    next: 'Put the file back if you have it; otherwise restore the VM from its latest recovery point.',
  },
  'engine.base-replaced': {
    happened:
      'An image of the VM was replaced, or written by something else than its QEMU, while an overlay above it holds data that the guest wrote on what the image was before.',
    data: 'Nothing was changed: the image is as you left it, the overlay is beside it. Put together they may make no sense, so the VM is not started and not backed up.',
    next: 'See "hyperkeep vm accept VM --dry-run", then choose: "--keep image" goes on with the image as it is and sets the overlay aside, "--keep chain" goes on with both.',
  },
  'engine.image-changed': {
    happened:
      'An image of the VM was written by something else than its QEMU while the backup was reading it.',
    data: 'There is no new recovery point, because it would mix two moments. Earlier ones are not touched; the image is as it was written.',
    next: 'Find out what writes it (a mount, a copy, another program), end that, and run the backup again.',
  },
  'engine.not-ours': {
    happened:
      'A QEMU runs under the id of the VM, but it uses other files than the disks that Hyperkeep knows: it was released, started by hand, or its files were moved or replaced.',
    data: 'Nothing is done to that QEMU or its files, so the VM is not backed up, started or stopped.',
    next: 'Shut that guest down from within, or end the process that the message names; then start the VM again. If its files were moved, put them back.',
  },
  'engine.path-too-long': {
    happened: 'The run folder has so long a path that sockets do not fit.',
    data: 'Nothing was changed.',
    next: 'Set HYPERKEEP_RUN to a shorter folder.',
  },
  'engine.state-invalid': {
    happened: 'What Hyperkeep keeps about the VM beside its disks is damaged or contradicts QEMU.',
    data: 'The disks are not changed. The VM is not started or backed up in this state.',
    next: 'Do as the message, or the note in "hyperkeep vm list", says: stop and start the VM, bring the file back, or set it aside and add or restore the VM again. Other VMs go on.',
  },
  'engine.state-newer': {
    happened:
      'A newer Hyperkeep has written what is kept about the VM; this one does not know its form.',
    data: 'Nothing was changed. The VM is not started or backed up by this version.',
    next: 'Run the newer Hyperkeep again on this host.',
  },
  'engine.fenced': {
    happened: 'A job that does not hold the VM any more wanted to act on it and was refused.',
    data: 'Nothing was done to the VM, its disks or what is known about their changes.',
    next: 'Look at "hyperkeep jobs"; back the VM up again if that job has no recovery point.',
  },
  'engine.hold-lost': {
    happened: 'Another job took the VM over; the action of the old one was refused.',
    data: 'The VM is in the hands of the newer job. The older one has no recovery point.',
    next: 'Look at "hyperkeep jobs" and start the older job again if it is still wanted.',
  },
  'engine.overlay-full': {
    happened: 'The guest wrote more during the backup than the overlay may hold.',
    data: 'The VM goes on unharmed; the backup was given up. Earlier recovery points are not touched.',
    next: 'Back up at a quieter time, or to a faster vault; what was stored is not sent twice.',
  },
  'engine.merge-failed': {
    happened: 'A frozen layer could not be merged into the image below it.',
    data: 'Nothing is lost: the layer stays in the chain and the VM goes on.',
    next: 'Look for a full or failing disk on the host; the merge is tried again.',
  },
  'nbd.unreachable': {
    happened: 'The server that reads a disk for the backup could not be reached.',
    data: 'Earlier recovery points are not touched.',
    next: 'Run the command again.',
  },
  'nbd.disconnected': {
    happened: 'The connection over which a disk was read broke.',
    data: 'Earlier recovery points are not touched; there is no new one.',
    next: 'Run the command again; what was stored is not sent twice.',
  },
  'nbd.timeout': {
    happened: 'A disk was not read in time.',
    data: 'Earlier recovery points are not touched; there is no new one.',
    next: 'Look at the disks of the host (errors, load) and run the command again.',
  },
  'nbd.refused': {
    happened: 'The server refused to give the disk out.',
    data: 'Nothing was changed.',
    next: 'Look whether another program uses the image.',
  },
  'nbd.export-missing': {
    happened: 'The server does not have the disk that was asked for.',
    data: 'Nothing was changed.',
    next: 'Run the command again; if it comes back, report it.',
  },
  'nbd.unsupported': {
    happened: 'The server lacks something that reading a disk needs.',
    data: 'Nothing was changed.',
    next: 'Install a newer qemu-utils (7.0 or later).',
  },
  'nbd.protocol-broken': {
    happened:
      'The server sent something that the protocol does not allow; the connection was given up.',
    data: 'Nothing of it was stored. Earlier recovery points are not touched.',
    next: 'Run the command again; if it comes back, report it with the version of qemu-utils.',
  },
  'export.unknown': {
    happened: 'Nothing is exported on that host under that id.',
    data: 'Nothing was changed.',
    next: 'See what is: hyperkeep export list.',
  },
  'export.failed': {
    happened: 'The process that serves disks of a recovery point did not start, or ended at once.',
    data: 'Nothing was changed; the recovery point is as it was.',
    next: 'Read what it said, mend that, and run the command again.',
  },
  'nbd.client-broken': {
    happened: 'A client of an exported disk sent something that the protocol does not allow.',
    data: 'Its connection was closed. Others and the disk are not touched.',
    next: 'Look which program it was: another client, such as nbdinfo, shows whether the disk is served.',
  },
  'nbd.request-failed': {
    happened: 'Reading or writing a range of a disk failed on the host.',
    data: 'There is no new recovery point. A disk of the host may be failing.',
    next: 'Look at the log of the kernel for disk errors, then run the command again.',
  },
  'formats.image-missing': {
    happened: 'There is no image at that path.',
    data: 'Nothing was changed.',
    next: 'Correct the path.',
  },
  'formats.image-exists': {
    happened: 'An image that would be written is already there. Hyperkeep never overwrites one.',
    data: 'Nothing was changed; the file is as it was.',
    next: 'Choose another folder or name.',
  },
  'formats.image-in-use': {
    happened: 'Another program has the image open, usually a running VM.',
    data: 'Nothing was read: the content would not be of one moment.',
    next: 'Stop the VM that uses it. A running VM is backed up with "hyperkeep backup".',
  },
  'formats.image-replaced': {
    happened: 'The image was exchanged for another file while it was being opened.',
    data: 'Nothing was read from it.',
    next: 'Find out who writes to that folder, then run the command again.',
  },
  'formats.image-invalid': {
    happened: 'The image contradicts itself: damaged, or not of the format that was named.',
    data: 'Nothing was stored from it.',
    next: 'Name the right --format; look at it with "qemu-img check".',
  },
  'formats.image-unsupported': {
    happened:
      'The image uses something that Hyperkeep does not read: encryption, an unknown feature, a path of another kind.',
    data: 'Nothing was changed.',
    next: 'Convert it with "qemu-img convert -O qcow2" and use the result.',
  },
  'formats.outside-reference': {
    happened:
      'The image refers to other files: a backing file or a data file. Those could be any file of this host.',
    data: 'Nothing was read from it.',
    next: 'If you trust the image, make it stand alone first: "qemu-img convert -O qcow2 OLD NEW".',
  },
  'formats.tool-failed': {
    happened: 'qemu-img or qemu-nbd failed; the message carries its words.',
    data: 'Earlier recovery points are not touched; nothing half-written counts.',
    next: 'Remove the cause that the message names and run the command again.',
  },
  'formats.io-failed': {
    happened: 'Reading or writing an image file failed on the host; the message carries its words.',
    data: 'Earlier recovery points are not touched; nothing half-written counts. A disk of the host may be failing.',
    next: 'Look at the log of the kernel for disk errors, then run the command again.',
  },
} as const;
