/** Stores and vaults. */
export const VAULT_ADVICE = {
  'store.unreachable': {
    happened: 'The storage of the vault did not answer, or answered that it cannot now.',
    data: 'Earlier recovery points are not touched; a backup that was running has no recovery point yet.',
    next: 'Check network and server, and run the command again: what was stored is not sent twice.',
  },
  'store.nonsense': {
    happened:
      'Something answered in place of the storage, or the storage answered something that is not S3: a page, an empty answer, a list that does not hang together.',
    data: 'Nothing of such an answer was believed: nothing was removed because of it, and no point was sealed on it. Earlier recovery points are not touched.',
    next: 'Look for a proxy, a sign-in or a maintenance page on the way, and check --endpoint. Then run the command again.',
  },
  'store.denied': {
    happened: 'The storage refused the credentials, or they lack a permission.',
    data: 'Earlier recovery points are not touched.',
    next: 'Check the AWS credentials (environment, profile or role) or the rights of the folder. Hyperkeep needs to list, read, write and delete under the prefix.',
  },
  'store.full': {
    happened: 'The storage has no space left.',
    data: 'Recovery points are whole and can be restored; a backup, copy or import that was under way is not in the store yet.',
    next: 'Make room outside Hyperkeep, or give recovery points up and prune: that needs 64 KiB free. Then run the command again: what was stored is not sent twice.',
  },
  'store.invalid-location': {
    happened: 'The location is neither a folder nor s3://bucket/prefix, or cannot hold a vault.',
    data: 'Nothing was changed.',
    next: 'Correct the location. An S3 service that is not AWS also needs --endpoint.',
  },
  'store.bucket-missing': {
    happened: 'The S3 service has no bucket of that name.',
    data: 'Nothing was changed.',
    next: 'Check name, endpoint and region, or create the bucket first: Hyperkeep does not.',
  },
  'store.refused': {
    happened:
      'The storage refused a request that every S3 service should take, or lacks a feature.',
    data: 'Earlier recovery points are not touched.',
    next: 'Read the message for what was refused; look for a proxy or gateway in between.',
  },
  'store.hash-mismatch': {
    happened: 'The storage received other bytes than were sent, and refused them.',
    data: 'Nothing wrong was stored. Earlier recovery points are not touched.',
    next: 'Run the command again. If it comes back, test memory and network of both machines.',
  },
  'vault.unknown': {
    happened: 'No vault of that name or id is known to the service.',
    data: 'Nothing was changed.',
    next: 'See "hyperkeep vault list"; make one that exists known with "hyperkeep vault add".',
  },
  'vault.credentials-unknown': {
    happened: 'This host keeps no credentials of its own for that role of the vault.',
    data: 'Nothing was changed; the role uses those of any, or what the AWS settings give.',
    next: 'See "hyperkeep vault credentials list VAULT".',
  },
  'vault.name-taken': {
    happened: 'The service knows a vault of that name, or this very vault, already.',
    data: 'Nothing was changed.',
    next: 'Choose another name, or use the one that is there.',
  },
  'vault.not-chosen': {
    happened: 'No vault was named, and the service knows none or more than one.',
    data: 'Nothing was changed.',
    next: 'See "hyperkeep vault list". If there are several, name one with --vault; if there is none, make one with "hyperkeep vault create".',
  },
  'vault.key-missing': {
    happened: 'This host has no key for the vault.',
    data: 'The vault is not touched.',
    next: 'Forget the vault here and add it again with its passphrase or recovery file.',
  },
  'vault.not-found': {
    happened:
      'There is no vault at that place, or not the one any more that was opened there: a disk that is not mounted, a bucket that was emptied, another vault.',
    data: 'No recovery point was made and none was changed. Those in the vault are where the vault is now.',
    next: 'Check location, prefix and endpoint; mount the disk, then repeat the command. A new vault is made with "rescue create" or "vault create".',
  },
  'vault.format-changed': {
    happened:
      'The keys or the format of the vault were changed, on another machine perhaps, after it was opened here.',
    data: 'Nothing was written with what is out of date. Recovery points are not touched.',
    next: 'Repeat the command: the vault is opened anew. If its keys were rotated, the service learns the new ones with "vault forget" and "vault add".',
  },
  'vault.being-destroyed': {
    happened: 'Somebody has begun to destroy the vault.',
    data: 'Points of it are gone already. What is left is not to be trusted to be all that there was.',
    next: 'To end it, run "vault destroy" again. If it was a mistake, and the bucket keeps versions, "rescue" with --first-version still reads what it was.',
  },
  'vault.in-use': {
    happened: 'A vault should be destroyed while jobs, readers or holds need it.',
    data: 'Nothing was changed.',
    next: 'Wait for them, cancel them ("jobs cancel") or release the holds; or add --even-if-used.',
  },
  'vault.destroy-incomplete': {
    happened: 'Not all points and packs of a vault could be removed.',
    data: 'What could be removed is gone, and nobody opens the vault any more.',
    next: 'Give the role collector credentials that may remove everything ("vault credentials set") and run "vault destroy" again, or have the owner of the bucket remove the rest.',
  },
  'vault.not-empty': {
    happened: 'The place for a new vault holds something already.',
    data: 'Nothing was changed; what is there is as it was.',
    next: 'Choose an empty folder or prefix, or open the vault that is there with "vault add".',
  },
  'vault.created-twice': {
    happened: 'Two commands made a vault at the same place at the same time.',
    data: 'Nothing was stored. Passphrase and recovery file of this attempt open nothing: throw them away.',
    next: 'Ask whether somebody else makes a vault there. If there is none afterwards, run the command again.',
  },
  'vault.weak-passphrase': {
    happened: 'The passphrase is too easy to guess.',
    data: 'Nothing was created.',
    next: 'Take a longer one, or let one be generated with --generate-passphrase.',
  },
  'vault.wrong-passphrase': {
    happened: 'The passphrase or the recovery file does not open this vault.',
    data: 'The vault is not touched and nothing was read from it.',
    next: 'Try again: letters, case and keyboard layout count. Otherwise use the recovery file. Nobody can open the vault without either.',
  },
  'vault.key-corrupt': {
    happened: 'The object that holds the wrapped master key, or the recovery file, is damaged.',
    data: 'Recovery points are not touched by it, but this way into the vault is closed.',
    next: 'Use the other way in: passphrase or recovery file. Compare a typed recovery file with the paper.',
  },
  'vault.format-corrupt': {
    happened: 'The object that describes the format of the vault is damaged or was changed.',
    data: 'Recovery points are not touched, but the vault cannot be opened safely. Nothing was written.',
    next: 'Bring the object back from a copy or an earlier version of the bucket. Do not create a vault at this place.',
  },
  'vault.format-newer': {
    happened:
      'The vault was written by a newer Hyperkeep, with features that this one does not know.',
    data: 'The vault is unharmed and was not written to.',
    next: 'Use a version of Hyperkeep at least as new as the one that wrote it.',
  },
  'vault.format-preliminary': {
    happened: 'The vault was written by a Hyperkeep from before its format was settled.',
    data: 'The vault is unharmed and was not written to.',
    next: 'Restore what you need with the version that wrote it, and back up to a new vault.',
  },
  'vault.control-corrupt': {
    happened:
      'An object that steers the vault (a seal, a retirement, a list of condemned slots) does not prove to be genuine.',
    data: 'Recovery points that verify are whole. Somebody or something changed the vault from outside.',
    next: 'Run "verify" over all recovery points and find out who else writes to the storage.',
  },
  'vault.pack-missing': {
    happened: 'A pack that recovery points refer to is not in the vault.',
    data: 'What lies in that pack is lost unless a copy of the vault, or an earlier version in the bucket, has it. Other recovery points may be whole.',
    next: 'Do not delete anything. Run "verify" to see which points are hit, bring the object back if the storage can, and take a new recovery point.',
  },
  'vault.pack-corrupt': {
    happened: 'A pack is shorter than it was or its header or footer was changed.',
    data: 'Nothing wrong was handed out. What lies in that pack cannot be read until it is brought back.',
    next: 'Run "verify" to see which points are hit, bring the object back from a copy or version, and test the storage.',
  },
  'vault.chunk-corrupt': {
    happened: 'Stored content is not what was written: the check of a frame failed.',
    data: 'Nothing wrong was handed out; the restore stopped. Every recovery point that shares the content is hit.',
    next: 'Run "verify" to see which points are hit. Restore the other disks with --disk, or another point. Test the storage.',
  },
  'vault.map-corrupt': {
    happened: 'A part of the map of a disk is damaged.',
    data: 'This recovery point cannot be restored whole. Earlier and later ones may be unharmed.',
    next: 'Run "verify" to find a whole one, and take a new recovery point.',
  },
  'vault.point-corrupt': {
    happened: 'A recovery point does not prove to be what was written.',
    data: 'That one point cannot be trusted and is not restored. Others are not hit by it.',
    next: 'Restore another point; find out who else writes to the storage.',
  },
  'vault.point-not-found': {
    happened: 'The vault has no sealed recovery point of that id.',
    data: 'Nothing was changed. A backup that was stopped has left no recovery point.',
    next: 'See "hyperkeep points" or "hyperkeep rescue points".',
  },
  'vault.disk-not-found': {
    happened: 'The recovery point has no disk of that id or name.',
    data: 'Nothing was changed.',
    next: 'See which disks it has with "points --json".',
  },
  'vault.file-not-found': {
    happened: 'The recovery point has no small file of that name.',
    data: 'Nothing was changed.',
    next: 'Restore without it: a VM without NVRAM starts with fresh firmware settings.',
  },
  'vault.point-retired': {
    happened: 'The recovery point was given up while it was being made or used.',
    data: 'Other recovery points are not touched.',
    next: 'Take a new recovery point; what was stored is not sent twice.',
  },
  'vault.conflict': {
    happened:
      'Content that the backup counted on was being removed from the vault, several times in a row.',
    data: 'Earlier recovery points are not touched; there is no new one.',
    next: 'Run the backup again, not while space is being collected.',
  },
  'vault.vm-busy': {
    happened: 'A recovery point of this VM is already being made.',
    data: 'Nothing was changed; the other one goes on.',
    next: 'Wait for it, then run the command again.',
  },
  'vault.write-damaged': {
    happened:
      'What was to be stored did not survive the check before sending: memory or processor made a mistake.',
    data: 'Nothing wrong was stored. Earlier recovery points were checked the same way.',
    next: 'Run the backup again. If it comes back, test the memory of this machine before trusting anything on it.',
  },
  'vault.limit-reached': {
    happened: 'The vault would hold more than its format, or this program, can count.',
    data: 'Nothing that is in the vault was changed; every recovery point can be restored.',
    next: 'Read the message for what there is too much of. Begin a new vault for new recovery points; this one stays readable.',
  },
  'vault.worker-lost': {
    happened:
      'A worker thread of Hyperkeep ended in the middle of its work, most likely because memory ran out.',
    data: 'Nothing that is in the vault was changed. A backup that was under way made no recovery point.',
    next: 'Free memory on this machine and repeat; what was stored is not sent twice.',
  },
  'vault.source-short': {
    happened: 'The disk ended before its size.',
    data: 'There is no new recovery point. Earlier ones are not touched.',
    next: 'Check the image ("qemu-img check"), and that nobody shrinks it while it is read.',
  },
  'vault.damage-found': {
    happened: 'A scrub found packs or other objects that are not what was written.',
    data: 'What is damaged stands in the vault now: the next backup of the same content heals it, and every older point with it.',
    next: 'Back up now, then run "hyperkeep vault repair" (or "rescue repair"), with --copy if there is a copy. What is left over, "hyperkeep verify" names by point. Test the storage.',
  },
  'vault.data-lost': {
    happened: 'Parts of the recovery point are nowhere to be read, so it was not restored.',
    data: 'The message names disks and ranges. All else of the point is whole; other points may be.',
    next: 'Try "hyperkeep vault repair --copy" (or "rescue repair --copy"), or another point. To get what is left with zeroes in those ranges: --accept-loss.',
  },
  'vault.chunk-id-unavailable': {
    happened:
      'The vault computes its chunk ids with BLAKE3, and that add-on does not load on this machine.',
    data: 'Nothing was changed. Restoring and verifying up to level 2 work without it.',
    next: 'Back up from a machine where the npm package @napi-rs/blake-hash works.',
  },
  'point.unknown': {
    happened: 'There is no recovery point of that id, or none of that VM.',
    data: 'Nothing was changed.',
    next: 'See "hyperkeep points --refresh" or "hyperkeep rescue points".',
  },
  'point.disk-unknown': {
    happened: 'The recovery point has no disk of that name, or several and none was named.',
    data: 'Nothing was changed.',
    next: 'Name one of the disks in the message.',
  },
  'point.definition-invalid': {
    happened: 'Names or the VM definition inside the recovery point are not fit for this host.',
    data: 'Nothing was written. The content of the disks is not hit by it.',
    next: 'Restore disks one by one with --disk, or give the VM another name with --as.',
  },
  'point.damaged': {
    happened: 'A verification found that a recovery point is not whole.',
    data: 'That point cannot be restored whole. Points that verified can.',
    next: 'Take a new recovery point now; what is intact is not sent again. Then test the storage, and bring lost objects back from a copy if there is one.',
  },
} as const;
