import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connectS3 } from '../../../src/vault/object-stores/s3-client.ts';
import { S3ObjectStore } from '../../../src/vault/object-stores/s3.ts';

const { signal } = new AbortController();
const OBJECT_BYTES = 1000;

type Answer = (response: ServerResponse) => void;

/** Answers every request for the last 100 bytes of an object of 1000 in one way. */
async function serverThat(answer: Answer): Promise<{ server: Server; store: S3ObjectStore }> {
  const server = createServer((_request, response) => {
    answer(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = await connectS3({
    endpoint: `http://127.0.0.1:${String(port)}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  return { server, store: new S3ObjectStore(client, { bucket: 'bucket', prefix: '' }) };
}

function part(from: number, to: number, bytes: number): Answer {
  return (response) => {
    response.writeHead(206, {
      'content-range': `bytes ${String(from)}-${String(to)}/${String(OBJECT_BYTES)}`,
      'content-length': bytes,
    });
    response.end(Buffer.alloc(bytes, 7));
  };
}

const cutOff: Answer = (response) => {
  response.writeHead(200, { 'content-length': OBJECT_BYTES, connection: 'close' });
  response.write(Buffer.alloc(10), () => response.socket?.end());
};

describe('S3ObjectStore at a server that answers wrongly', () => {
  it.each([
    { title: 'fewer bytes than it says', answer: part(900, 999, 60) },
    { title: 'more bytes than were asked for', answer: part(900, 999, 160) },
    { title: 'bytes from another place', answer: part(0, 99, 100) },
    { title: 'a part of the part', answer: part(950, 999, 50) },
    { title: 'the beginning, and ends the connection in order', answer: cutOff },
  ])('refuses $title', async ({ answer }) => {
    const { server, store } = await serverThat(answer);
    try {
      await expect(store.getRange('x', { suffix: 100 }, signal)).rejects.toMatchObject({
        code: expect.stringMatching(/^store[.]/) as unknown,
      });
    } finally {
      await store.close();
      server.close();
    }
  });

  it('never takes what came before the end of the connection for the object', async () => {
    const { server, store } = await serverThat(cutOff);
    try {
      await expect(store.get('x', signal)).rejects.toMatchObject({ code: 'store.unreachable' });
    } finally {
      await store.close();
      server.close();
    }
  });
});
