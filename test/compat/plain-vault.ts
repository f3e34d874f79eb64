import assert from 'node:assert/strict';
import { argon2Sync, createHash, createPublicKey, verify } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { base32, decrypt, hkdf, hmac, lengthAndName } from './plain-bytes.ts';

interface PlainFormat {
  readonly vaultId: string;
  readonly keyVersion: number;
  readonly chunkId: string;
  readonly dedupDomain: string;
  readonly retention: { publicKey: string; earlier: string[]; confirmed?: string };
}
/** Keys and control objects, for the reader that uses nothing of src/. */
export class PlainVault {
  readonly folder: string;
  readonly format: PlainFormat;
  readonly #keys: readonly string[];
  readonly #masters: Buffer[];
  readonly #vaultId: Buffer;

  /** @param secret a passphrase, or the text of a recovery file */
  constructor(folder: string, secret: string) {
    this.folder = folder;
    this.#keys = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
      .sort();
    const newest = this.list(/^fmt\/\d{6,12}-[0-9a-f]{32}$/).at(-1);
    assert(newest !== undefined);
    const object = this.get(newest);
    this.#vaultId = object.subarray(16, 32);
    this.#masters = this.#unlock(secret, object.readUInt16LE(12));
    this.format = JSON.parse(this.control(newest, 1).toString()) as PlainFormat;
    assert.equal(this.format.vaultId, this.#vaultId.toString('hex'));
  }

  list(pattern: RegExp): string[] {
    return this.#keys.filter((key) => pattern.test(key));
  }

  get(key: string): Buffer {
    return readFileSync(join(this.folder, key));
  }

  /** Section 4.2. */
  #unlock(secret: string, version: number): Buffer[] {
    const typed = /^secret: (.*)$/m.exec(secret)?.[1];
    for (const key of this.list(/^keys\/\d{6,12}-[0-9a-f]{32}$/).reverse()) {
      const object = this.get(key);
      assert.equal(object.toString('latin1', 0, 8), 'HKKEYS00');
      const end = 12 + object.readUInt32LE(8);
      const hash = createHash('sha256').update(object.subarray(0, end)).digest();
      assert.deepEqual(hash, object.subarray(end));
      const json = JSON.parse(object.toString('utf8', 12, end)) as Record<string, unknown>;
      const wrapping = json['purpose'] === 'vault' ? wrappingKey(json, secret, typed) : undefined;
      const bound = `${key}\n${this.#vaultId.toString('hex')}`;
      const wrapped = Buffer.from(String(json['wrapped']), 'hex');
      const all = wrapping && decrypt(wrapping, 0, Buffer.from(bound), wrapped);
      if (all !== undefined && all.length > version * 32) {
        return Array.from({ length: all.length / 32 }, (_, at) =>
          all.subarray(at * 32, at * 32 + 32),
        );
      }
    }
    throw new Error('nothing opens this vault');
  }

  /** Section 4.1. */
  derive(purpose: string, version: number): Buffer {
    const master = this.#masters[version];
    assert(master !== undefined);
    return hkdf(master, this.#vaultId, `hyperkeep/${purpose}/${String(version)}`);
  }

  mac16(purpose: 'map' | 'point', ...parts: Uint8Array[]): Buffer {
    return hmac(this.derive(purpose, 0), ...parts).subarray(0, 16);
  }

  /** Section 5: the body of a control object. */
  control(key: string, kind: number): Buffer {
    const object = this.get(key);
    assert.equal(object.toString('latin1', 0, 8), 'HKCTRL00');
    const mac = this.derive(kind === 1 ? 'format' : 'control', object.readUInt16LE(12));
    const content = object.subarray(0, -32);
    assert.deepEqual(hmac(mac, lengthAndName(key), content), object.subarray(-32));
    assert.equal(object[10], kind);
    assert.equal(object.readUInt32LE(32), content.length - 36);
    return content.subarray(36);
  }

  /** Section 4.3: the rest of a signed body, if one of the keys signed it. */
  signed(key: string, kind: number, publicKeys: readonly string[]): Buffer | undefined {
    const body = this.control(key, kind);
    const label = Buffer.from('hyperkeep/signed/0');
    const rest = body.subarray(64);
    const message = Buffer.concat([label, this.#vaultId, lengthAndName(key), rest]);
    const isGenuine = publicKeys.some((hex) => {
      const spki = Buffer.from(`302a300506032b6570032100${hex}`, 'hex');
      const ed25519 = createPublicKey({ key: spki, format: 'der', type: 'spki' });
      return verify(null, message, ed25519, body.subarray(0, 64));
    });
    return isGenuine ? rest : undefined;
  }

  /** Section 3. BLAKE3 is not in Node: those ids are left to the program itself. */
  proveChunk(id: Buffer, content: Buffer): void {
    const { chunkId, dedupDomain } = this.format;
    if (chunkId === 'hmac-sha256') {
      const key = this.derive(`chunk-id/${dedupDomain}`, 0);
      assert.deepEqual(hmac(key, content).subarray(0, 16), id);
    }
  }

  has(key: string): boolean {
    return existsSync(join(this.folder, key));
  }
}

function wrappingKey(
  json: Record<string, unknown>,
  secret: string,
  typed?: string,
): Buffer | undefined {
  if (json['kind'] === 'recovery') {
    const salt = Buffer.from(String(json['salt']), 'hex');
    return typed === undefined
      ? undefined
      : hkdf(base32(typed).subarray(0, 32), salt, 'hyperkeep/recovery');
  }
  if (typed !== undefined) {
    return undefined;
  }
  const kdf = json['kdf'] as { memoryKib: number; passes: number; lanes: number; salt: string };
  return argon2Sync('argon2id', {
    message: Buffer.from(secret.normalize('NFKC')),
    nonce: Buffer.from(kdf.salt, 'hex'),
    parallelism: kdf.lanes,
    tagLength: 32,
    memory: kdf.memoryKib,
    passes: kdf.passes,
  });
}
