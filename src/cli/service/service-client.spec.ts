import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cliRun } from '../../../test/support/service/cli-run.ts';
import type { Job } from '../../api/contract/jobs.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const JOB: Job = {
  id: '0b0f3a80-7b5a-4c53-8d5c-6f1f0f8f2000',
  kind: 'backup',
  state: 'queued',
  vmName: 'web',
  vaultName: 'main',
  createdAtMs: 1_790_000_000_000,
};
const RESULT: Job['result'] = {
  kind: 'backup',
  pointId: '01KAPX0000000000000000000A',
  vaultId: '0b0f3a807b5a4c538d5c6f1f0f8f3000',
  vmId: '0b0f3a80-7b5a-4c53-8d5c-6f1f0f8f1000',
  consistency: 'crash',
  notes: ['The guest agent did not answer.'],
  disks: [
    {
      name: 'system',
      sizeBytes: 2 ** 31,
      method: 'full',
      reason: 'first-backup',
      readBytes: 2 ** 20,
      newBytes: 2 ** 20,
      storedBytes: 2 ** 19,
    },
  ],
  readBytes: 2 ** 20,
  newBytes: 2 ** 20,
  storedBytes: 2 ** 19,
  durationMs: 1234,
  guestFrozenMs: 0,
  transactionMs: 4.25,
};

/** A server that answers as the contract says, or as the test wants. */
describe('the command line as a client', () => {
  let folder: string;
  let server: Server;
  let answer: Answer;
  let requests: string[];

  beforeEach(async () => {
    requests = [];
    server = createServer((request, response) => {
      requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
      answer(request, response);
    });
    folder = await mkdtemp(join(tmpdir(), 'hyperkeep-cli-'));
    await mkdir(join(folder, 'home', 'api'), { recursive: true });
    await new Promise<void>((resolve) => {
      server.listen(join(folder, 'home', 'api', 'service.sock'), resolve);
    });
  });

  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });

  function json(response: ServerResponse, status: number, value: unknown): void {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  }

  it('prints the answer as one document', async () => {
    answer = (_, response) => {
      json(response, 200, { vaults: [] });
    };

    const run = await cliRun(['vault', 'list', '--json'], { folder });

    expect(run).toEqual({ exitCode: 0, stdout: '{\n  "vaults": []\n}\n', stderr: '' });
    expect(requests).toEqual(['GET /api/v1/vaults']);
  });

  it('follows a job to its end through a broken stream', async () => {
    let streams = 0;
    answer = (request, response) => {
      if (request.method === 'POST') {
        json(response, 202, JOB);
      } else if (request.url?.endsWith('/events') === true) {
        streams += 1;
        const running: Job = { ...JOB, state: 'running' };
        const ended: Job = { ...JOB, state: 'succeeded', result: RESULT };
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(`event: job\ndata: ${JSON.stringify(running)}\n\n`);
        if (streams === 1) {
          response.destroy();
          return;
        }
        const last = `event: job\ndata: ${JSON.stringify(ended)}\n\n`;
        response.write(last.slice(0, 40));
        response.end(last.slice(40));
      } else {
        json(response, 200, streams === 1 ? JOB : { ...JOB, state: 'succeeded', result: RESULT });
      }
    };

    const run = await cliRun(['backup', 'web', '--vault', 'main'], { folder });

    expect(run.exitCode).toBe(0);
    expect(run.stdout).toBe(
      'Recovery point 01KAPX0000000000000000000A of web is in main (1.2 s).\n' +
        '  system: read 1.00 MiB, new 1.00 MiB, stored 512 KiB; whole disk (first-backup)\n' +
        '  together: read 1.00 MiB, stored 512 KiB\n' +
        '  consistency: crash; snapshot 4.3 ms\n' +
        '  note: The guest agent did not answer.\n',
    );
    expect(streams).toBe(2);
  });

  it('gives up at once when an event is not a job', async () => {
    answer = (request, response) => {
      if (request.method === 'POST') {
        json(response, 202, JOB);
        return;
      }
      response.end(`data: ${JSON.stringify({ ...JOB, state: 'dreaming' })}\n\n`);
    };

    const run = await cliRun(['backup', 'web'], { folder });

    expect(run.exitCode).toBe(7);
    expect(run.stderr).toContain('wrong at state');
  });

  it('ends with the exit code of the fault that a job had', async () => {
    const fault = { code: 'store.full', message: 'The bucket is full.', context: {} };
    answer = (_, response) => {
      json(response, 200, { ...JOB, state: 'failed', fault });
    };

    const run = await cliRun(['jobs', 'show', JOB.id, '--wait', '--json'], { folder });

    expect(run.exitCode).toBe(6);
    expect(JSON.parse(run.stdout)).toMatchObject({
      error: { code: 'store.full', message: 'The bucket is full.', exitCode: 6 },
    });
    expect(run.stderr).toContain('error store.full: The bucket is full.\n  Your data: ');
  });

  it('says that the job goes on when the watching is stopped', async () => {
    const stop = new AbortController();
    answer = (request, response) => {
      if (request.method === 'POST') {
        json(response, 202, JOB);
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`data: ${JSON.stringify(JOB)}\n\n`);
      stop.abort();
    };

    const run = await cliRun(['backup', 'web'], { folder, signal: stop.signal });

    expect(run.exitCode).toBe(130);
    expect(run.stderr).toContain(`The job goes on: hyperkeep jobs show ${JOB.id}`);
    expect(requests.filter((line) => line.includes('cancel'))).toEqual([]);
  });

  it.each([
    ['a problem document', 404, { code: 'vault.unknown' }, 4],
    ['a code of a newer service', 500, { code: 'vault.haunted' }, 8],
    ['a bug of the service', 500, { code: 'internal' }, 70],
  ])('ends with its own exit code for %s', async (_, status, { code }, exitCode) => {
    answer = (__, response) => {
      json(response, status, { type: 'x', title: code, status, detail: 'Words.', context: {} });
    };

    const run = await cliRun(['points'], { folder });

    expect(run).toMatchObject({ exitCode, stdout: '' });
    expect(run.stderr).toContain(`error ${code}: Words.`);
  });

  it.each([
    ['HTML', '<html>not found</html>'],
    ['JSON of another shape', '{"points": 7}'],
  ])('does not believe an answer that is %s', async (_, text) => {
    answer = (__, response) => {
      response.end(text);
    };

    const run = await cliRun(['points'], { folder });

    expect(run.exitCode).toBe(7);
    expect(run.stderr).toContain('error service.unexpected-answer');
  });

  it('says how to start a service that is not there', async () => {
    await rm(join(folder, 'home', 'api', 'service.sock'));

    const run = await cliRun(['points'], { folder });

    expect(run.exitCode).toBe(8);
    expect(run.stderr).toContain('Start it with: hyperkeep serve');
  });

  it('sends nothing to a port that an earlier version left in the home', async () => {
    const heard: string[] = [];
    const stranger = createServer((request, response) => {
      heard.push(request.url ?? '');
      response.end();
    });
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    const { port } = stranger.address() as AddressInfo;
    await writeFile(join(folder, 'home', 'api-address'), `http://127.0.0.1:${String(port)}\n`);
    await writeFile(join(folder, 'home', 'api-token'), 'secret\n', { mode: 0o600 });
    await rm(join(folder, 'home', 'api', 'service.sock'));

    const run = await cliRun(['vault', 'create', 'v', '--location', '/v'], {
      folder,
      passphrase: 'open sesame now',
    });

    await new Promise((resolve) => stranger.close(resolve));
    expect({ exitCode: run.exitCode, heard }).toEqual({ exitCode: 8, heard: [] });
  });

  it('does not destroy without a yes', async () => {
    const run = await cliRun(['vm', 'destroy', 'web'], { folder });

    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain('add --yes');
    expect(requests).toEqual([]);
  });

  it('names the field of a definition that is wrong, without asking the service', async () => {
    await writeFile(join(folder, 'vm.json'), JSON.stringify({ name: '../x', disks: [] }));

    const run = await cliRun(['vm', 'add', 'vm.json'], { folder });

    expect(run.exitCode).toBe(2);
    expect(run.stderr).toMatch(/error vm\.definition-invalid: vm\.json: name: .*; disks: /);
    expect(requests).toEqual([]);
  });

  it('keeps the recovery file to itself and off the screen', async () => {
    const vault = {
      id: '0b0f3a807b5a4c538d5c6f1f0f8f3000',
      name: 'main',
      location: '/vaults/main',
      createdAtMs: 0,
      points: 0,
    };
    answer = (_, response) => {
      json(response, 201, { vault, passphrase: 'GENERATED', recoveryFile: 'SECRET' });
    };
    const parameters = ['vault', 'create', 'main', '--location', '/v', '--generate-passphrase'];

    const run = await cliRun([...parameters, '--json'], { folder });

    const recoveryFile = join(folder, 'hyperkeep-recovery-main.txt');
    expect(JSON.parse(run.stdout)).toEqual({ vault, recoveryFile });
    expect(run.stderr).toContain('GENERATED');
    expect(run.stdout + run.stderr).not.toContain('SECRET');
    const again = await cliRun(parameters, { folder });
    expect(again.exitCode).toBe(5);
    expect(again.stderr).toContain('target.exists');
  });
});
