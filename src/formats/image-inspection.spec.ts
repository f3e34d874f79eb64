import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspectImage, looksLike } from './image-inspection.ts';

const signal = AbortSignal.timeout(10_000);

describe('inspectImage', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hk-test-'));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  async function file(name: string, content: string | Uint8Array): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, content, 'latin1');
    return path;
  }

  /** Returns a VHD footer with a type: 2 fixed, 3 dynamic, 4 differencing. */
  function vhdFooter(type: number): Buffer {
    const footer = Buffer.alloc(512);
    footer.write('conectix');
    footer.writeUInt32BE(type, 60);
    return footer;
  }

  it('takes a file without a sign of a format for raw', async () => {
    const path = await file('disk', Buffer.alloc(1000));

    expect(await inspectImage(path, undefined, signal)).toEqual({
      format: 'raw',
      virtualSize: 1000,
      fileSize: 1000,
    });
  });

  it('leaves a raw disk raw, whatever the guest wrote into it', async () => {
    const path = await file('guest.raw', 'QFI\xfb\0\0\0\x03'.padEnd(4096, '\0'));

    expect(await inspectImage(path, undefined, signal)).toMatchObject({ format: 'raw' });
    expect(await inspectImage(path, 'raw', signal)).toMatchObject({ format: 'raw' });
  });

  it.each([
    ['QFI\xfb\0\0\0\x03', 'qcow2'],
    ['KDMV', 'VMDK'],
    ['vhdxfile', 'VHDX'],
    ['\xeb\x63\x90', undefined],
    ['', undefined],
  ])('says that %j looks like %s, whatever the name says', async (start, like) => {
    for (const name of ['some.raw', 'some.img', 'some']) {
      const path = await file(name, start.padEnd(4096, '\0'));

      expect(await looksLike(path, signal)).toBe(like);
    }
  });

  it.each([
    ['qcow2 without saying so', 'QFI\xfb\0\0\0\x03', 'formats.image-unsupported'],
    ['VHDX', 'vhdxfile', 'formats.image-unsupported'],
    ['VMDK', 'KDMV', 'formats.image-unsupported'],
    ['a VMDK description', '# Disk DescriptorFile', 'formats.image-unsupported'],
    ['VDI', `${'\0'.repeat(64)}\x7f\x10\xda\xbe`, 'formats.image-unsupported'],
    ['LUKS', 'LUKS\xba\xbe', 'formats.image-unsupported'],
  ])('refuses %s', async (_what, start, code) => {
    const path = await file('foreign.img', start.padEnd(4096, '\0'));

    await expect(inspectImage(path, undefined, signal)).rejects.toMatchObject({ code });
  });

  it.each([
    [2, 'end', undefined, 'formats.image-unsupported'],
    [4, 'end', undefined, 'formats.outside-reference'],
    [3, 'start', 'raw', 'formats.image-unsupported'],
    [4, 'start', 'raw', 'formats.outside-reference'],
  ] as const)(
    'refuses a VHD of type %d with a footer at its %s',
    async (type, where, format, code) => {
      const footer = vhdFooter(type);
      const body = Buffer.alloc(4096);
      const path = await file(
        'disk.vhd',
        Buffer.concat(where === 'start' ? [footer, body] : [body, footer]),
      );

      await expect(inspectImage(path, format, signal)).rejects.toMatchObject({ code });
    },
  );

  it('refuses what is not a file, is not there or is not named fully', async () => {
    await expect(inspectImage(folder, 'raw', signal)).rejects.toMatchObject({
      code: 'formats.image-unsupported',
    });
    await expect(inspectImage('/dev/null', 'raw', signal)).rejects.toMatchObject({
      code: 'formats.image-unsupported',
    });
    await expect(inspectImage(join(folder, 'none'), 'raw', signal)).rejects.toMatchObject({
      code: 'formats.image-missing',
    });
    await expect(inspectImage('nbd:localhost:1', 'raw', signal)).rejects.toMatchObject({
      code: 'formats.image-unsupported',
    });
  });

  it('wants a whole header of a qcow2 image', async () => {
    const path = await file('short.qcow2', 'QFI\xfb\0\0\0\x03');

    await expect(inspectImage(path, undefined, signal)).rejects.toMatchObject({
      code: 'formats.image-invalid',
    });
  });
});
