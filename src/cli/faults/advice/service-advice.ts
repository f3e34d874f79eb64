/** Requests, the service, the command line and what it writes. */
export const SERVICE_ADVICE = {
  'request.invalid': {
    happened: 'The request or the command line has a mistake; the message names it.',
    data: 'Nothing was changed.',
    next: 'Correct it and run it again; --help shows what a command takes.',
  },
  'request.denied': {
    happened:
      'It is not sure that this is your service, or the service is not sure that it is you: another user has it or its place, or a token or host name was wrong.',
    data: 'Nothing was changed. No token and no passphrase was sent to a service of somebody else.',
    next: 'Run the command as the user that runs the service, with the same HYPERKEEP_HOME; over HYPERKEEP_URL with a token in HYPERKEEP_TOKEN_FILE whose scope allows it ("hyperkeep token list").',
  },
  'token.name-taken': {
    happened: 'The service has a token of that name.',
    data: 'Nothing was changed; the token that is there works as before.',
    next: 'Choose another name, or revoke the old one first: "hyperkeep token revoke NAME".',
  },
  'token.unknown': {
    happened: 'The service has no token of that name or id; it may have been revoked.',
    data: 'Nothing was changed.',
    next: 'See "hyperkeep token list".',
  },
  'command.failed': {
    happened: 'A program that Hyperkeep needs ended with an error; the message carries its words.',
    data: 'Earlier recovery points are not touched; nothing half-written counts.',
    next: 'Read what the program said, remove the cause and run the command again.',
  },
  'command.missing': {
    happened: 'A program that Hyperkeep needs is not installed on this machine.',
    data: 'Nothing was changed.',
    next: 'Install it (Debian: qemu-system-x86, qemu-utils) and run the command again.',
  },
  'service.home-shared': {
    happened: 'Other users of this machine could put their files into a folder of the service.',
    data: 'Nothing was changed and nothing was read there.',
    next: 'Look who made the folder that the message names and what is in it; then chown and chmod it, or set HYPERKEEP_HOME to another one.',
  },
  'service.host-id-damaged': {
    happened: 'The file host-id in the home of the service does not hold the id of this host.',
    data: 'Nothing was changed. VMs go on running; recovery points are not touched.',
    next: 'Bring the file back from a copy of the home. Without it this host is a new one: its VMs are listed as those of another host until that one is removed.',
  },
  'service.unreachable': {
    happened: 'The command line found no running service.',
    data: 'Nothing was changed by this command. Jobs that run go on, or end as interrupted if the service died.',
    next: 'Start the service with "hyperkeep serve", or set HYPERKEEP_HOME to its home. If the service is lost for good: "hyperkeep rescue" needs only the vault and its passphrase.',
  },
  'service.unexpected-answer': {
    happened: 'Something answered that does not speak the interface of this version.',
    data: 'Unknown for this one command: look at "hyperkeep jobs" before repeating it.',
    next: 'Check HYPERKEEP_URL, and that command line and service are of one version.',
  },
  'passphrase.missing': {
    happened: 'A passphrase is needed and there is nobody to ask.',
    data: 'Nothing was changed.',
    next: 'Set HYPERKEEP_PASSPHRASE_FILE to a file that only you can read, set HYPERKEEP_PASSPHRASE, use --recovery-file, or run the command in a terminal.',
  },
  'passphrase.mismatch': {
    happened: 'The two passphrases that were typed differ.',
    data: 'Nothing was changed.',
    next: 'Run the command again.',
  },
  'target.exists': {
    happened: 'A file that would be written is already there. Hyperkeep never overwrites a file.',
    data: 'Nothing was changed; the file is as it was.',
    next: 'Choose another folder or name, or remove the file if it is really not needed. A definition file (.json) beside disks says that a restore of them is whole.',
  },
  'target.replaced': {
    happened: 'Another restore began to write the same files while this one was running.',
    data: 'This restore was given up; the other one goes on and is whole when it says so.',
    next: 'Wait for the other one, or restore to another folder.',
  },
  'vm.definition-invalid': {
    happened:
      'The definition of the VM is not one that Hyperkeep can run; the message names the field.',
    data: 'Nothing was changed. The disks of the recovery point can still be restored one by one with --disk.',
    next: 'Correct the file; docs/cli.md shows a whole definition.',
  },
  'host.unknown': {
    happened: 'The database knows no host with this name or id.',
    data: 'Nothing was changed.',
    next: 'See "hyperkeep host list".',
  },
  'host.in-use': {
    happened: 'The host cannot be forgotten: its service runs, or did a moment ago.',
    data: 'Nothing was changed.',
    next: 'Stop its service for good; two minutes later ask the service of another host.',
  },
  'vm.on-other-host': {
    happened:
      'The VM is on another host of this database. A host runs and backs up its own VMs only.',
    data: 'Nothing was changed.',
    next: 'Give the command to the service of the host that the message names: there, or with HYPERKEEP_URL and a token. Policies take the points of all hosts by themselves.',
  },
  'vm.ambiguous': {
    happened: 'Several VMs go by the name, or no VM was named where the vault holds several.',
    data: 'Nothing was changed.',
    next: 'Name the VM with --vm, or with --vm-id and its id where two have one name; the list of points shows the ids then.',
  },
  'database.programs-missing': {
    happened: 'There is no PostgreSQL on this machine that can run the catalog database.',
    data: 'Nothing was changed. Vaults and VMs do not depend on the database.',
    next: 'Install the package that the message names (apt-get install postgresql), or set DATABASE_URL.',
  },
  'database.folder-closed': {
    happened:
      'The service runs as root, PostgreSQL as another user, and that user cannot reach the home folder.',
    data: 'Nothing was changed.',
    next: 'Set HYPERKEEP_HOME to a folder that others may pass through, such as /var/lib/hyperkeep, or set DATABASE_URL.',
  },
  'database.start-failed': {
    happened: 'The catalog database of this service did not start.',
    data: 'Vaults and VMs are not hit. The catalog can be read again from the vaults.',
    next: 'See postgres.log in the home folder (a full disk is the usual reason), put that right and start again.',
  },
  'database.unavailable': {
    happened:
      'The database of the service does not answer: it is stopped, restarts, or its host cannot be reached.',
    data: 'Vaults and VMs are not hit. Jobs that run go on; a recovery point that was sealed meanwhile is whole, and the list of points shows it once the vault is read again ("hyperkeep points list --refresh").',
    next: 'Start the database again (an embedded one is restarted by the service; postgres.log in the home folder says why it ended). The service goes on by itself; repeat the command then.',
  },
  'database.refused': {
    happened:
      'The database answers, but lets the user of DATABASE_URL in not at all or not far enough.',
    data: 'Nothing was changed.',
    next: 'Correct user, password and database name in DATABASE_URL, or grant the rights, and start the service again.',
  },
  'database.in-use': {
    happened:
      'Another service of this host uses the database: services are told apart by the file host-id in their homes, and a home was copied, or is used over a network.',
    data: 'Nothing was changed; the other service and its jobs go on.',
    next: 'If the home is a copy, remove the file host-id from the copy; else stop the service that the message names. The claim of a service that died ends with its process, and within a minute if its machine is gone.',
  },
  'database.newer': {
    happened: 'A newer version of Hyperkeep has changed the tables of the database.',
    data: 'Nothing was changed. The VMs of this host go on running; no points are taken of them until its service runs again.',
    next: 'Update Hyperkeep on this host and start the service.',
  },
  'database.older-hosts': {
    happened:
      'This version needs other tables in the database, and services of other hosts still use the present ones.',
    data: 'Nothing was changed; the other services and their jobs go on.',
    next: 'Stop the services that the message names, start this one, then update the others. "hyperkeep serve --migrate" waits until they are gone.',
  },
  'service.already-running': {
    happened: 'Another service runs with this home folder, or something has its port.',
    data: 'Nothing was changed; the other service goes on.',
    next: 'Use the one that runs, or stop it first. Otherwise set what the message names: HTTP_PORT for a taken port, HYPERKEEP_HOME for a home in use.',
  },
  'secret.exposed': {
    happened: 'A file with a secret can be read by other users of this machine.',
    data: 'Nothing was changed. Somebody may have read the secret.',
    next: 'If that is possible, change the passphrase of the vault. Then chmod 600 the file.',
  },
  'secret.unreadable': {
    happened: 'A key kept on this host was changed, or was wrapped by the key of another host.',
    data: 'The vault is not touched; only this host cannot open it by itself.',
    next: 'Forget the vault and add it again with its passphrase or recovery file.',
  },
  'job.unknown': {
    happened: 'There is no job of that id.',
    data: 'Nothing was changed.',
    next: 'See "hyperkeep jobs".',
  },
  'job.conflict': {
    happened: 'A job of the same kind is not finished for that VM.',
    data: 'Nothing was changed; the other job goes on.',
    next: 'Wait for it ("hyperkeep jobs") or cancel it.',
  },
  'job.refused': {
    happened: 'The service has as many jobs waiting as it takes, or is stopping.',
    data: 'Nothing was changed.',
    next: 'Run the command again later.',
  },
  'job.interrupted': {
    happened: 'The service stopped while the job ran.',
    data: 'What the job was doing is not done: a backup has made no recovery point and its VM was put in order, a restore has left no files, the vault is whole.',
    next: 'Start the job again. A backup or copy sends nothing twice.',
  },
  'vm.disk-size-differs': {
    happened: 'The definition gives a disk another size than its image has.',
    data: 'Nothing was changed.',
    next: 'Leave the size out of the definition or correct it.',
  },
  'restore.firmware-not-chosen': {
    happened:
      'The VM boots from firmware or kernel files, and nobody said which ones on this host.',
    data: 'Nothing was changed. Files of a host are never chosen by a recovery point.',
    next: 'Name them with --firmware-code, or with --kernel and --initrd; the message says what the VM had.',
  },
  'restore.no-space': {
    happened: 'The folder to restore to has less room than the disks need.',
    data: 'Nothing was written; the recovery point is as it was.',
    next: 'Make room or choose another folder with --to.',
  },
} as const;
