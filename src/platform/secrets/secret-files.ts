import assert from 'node:assert/strict';
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { PRIVATE_FOLDER_MODE, syncFolder, writeDurably } from '../../kernel/files/durable-file.ts';
import { Fault, systemCode } from '../../kernel/fault.ts';
import { chmod, open, rm, type FileHandle } from '../../kernel/files/files.ts';
import { makeFolders } from '../../kernel/files/folders.ts';
import { SecretStore } from '../../kernel/secret-store.ts';

const HOST_KEY_FILE = 'host-key';
const HOST_KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** First bytes of a wrapped secret: format and version. */
const MAGIC = Buffer.from('HKSEC001');
const SECRET_BYTES_MAX = 64 * 1024;
const OTHERS = 0o077;

/**
 * Keeps secrets as files of mode 0600 in one folder, each encrypted (AES-256-GCM, its name as
 * associated data) with the host's key, which is beside them and is made at the first use. The
 * encryption makes a single copied file worthless and reveals any change; it does not protect
 * against somebody who reads the whole folder.
 */
export class SecretFiles extends SecretStore {
  private hostKey: Promise<Buffer> | undefined;

  constructor(private readonly folder: string) {
    super();
  }

  override async put(name: string, secret: Uint8Array): Promise<void> {
    assert(secret.byteLength <= SECRET_BYTES_MAX, 'secret too long');
    const path = this.pathOf(name);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', await this.key(), nonce);
    cipher.setAAD(Buffer.from(name));
    const sealed = Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
    await writeDurably(path, Buffer.concat([MAGIC, nonce, sealed]));
  }

  override async get(name: string): Promise<Uint8Array | undefined> {
    const stored = await readPrivate(this.pathOf(name));
    if (stored === undefined) {
      return undefined;
    }
    const start = MAGIC.length + NONCE_BYTES;
    if (stored.length < start + TAG_BYTES || !stored.subarray(0, MAGIC.length).equals(MAGIC)) {
      throw unreadable(name);
    }
    const decipher = createDecipheriv(
      'aes-256-gcm',
      await this.key(),
      stored.subarray(MAGIC.length, start),
      { authTagLength: TAG_BYTES },
    );
    decipher.setAAD(Buffer.from(name));
    decipher.setAuthTag(stored.subarray(-TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(stored.subarray(start, -TAG_BYTES)), decipher.final()]);
    } catch (error) {
      throw unreadable(name, error);
    }
  }

  override async remove(name: string): Promise<void> {
    await rm(this.pathOf(name), { force: true });
  }

  private pathOf(name: string): string {
    assert(/^[a-z0-9-]{1,80}$/.test(name) && name !== HOST_KEY_FILE, 'not a name of a secret');
    return join(this.folder, name);
  }

  /** Reads the key once for all: two first uses at the same time must not make two keys. */
  private async key(): Promise<Buffer> {
    this.hostKey ??= this.readOrMakeHostKey();
    return this.hostKey;
  }

  private async readOrMakeHostKey(): Promise<Buffer> {
    await makeFolders(this.folder);
    await chmod(this.folder, PRIVATE_FOLDER_MODE);
    const path = join(this.folder, HOST_KEY_FILE);
    const found = await readPrivate(path);
    if (found === undefined) {
      const made = randomBytes(HOST_KEY_BYTES);
      await writeDurably(path, made);
      await syncFolder(join(this.folder, '..'));
      return made;
    }
    if (found.length !== HOST_KEY_BYTES) {
      throw unreadable(HOST_KEY_FILE);
    }
    return found;
  }
}

function unreadable(name: string, cause?: unknown): Fault {
  return new Fault(
    'secret.unreadable',
    `The stored key ${name} was changed or belongs to another host key; register the vault again with its passphrase or recovery file.`,
    { name },
    { cause },
  );
}

/** Reads the whole file; refuses it if the group or others may open it. */
async function readPrivate(path: string): Promise<Buffer | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
  await using file = handle;
  const { mode, size } = await file.stat();
  if ((mode & OTHERS) !== 0) {
    throw new Fault(
      'secret.exposed',
      `${path} can be read by others; change the vault's passphrase if they may have, then chmod 600 it.`,
      { path },
    );
  }
  assert(size <= 2 * SECRET_BYTES_MAX, `${path} is not a secret file`);
  return await file.readFile();
}
