import { connect, createServer, type Server } from 'node:net';
import fs from 'node:fs';

/*
 * What another user of the machine tries. Runs as that user; its text is handed over, because it
 * may not read ours.
 */

const heard: string[] = [];
const servers: Server[] = [];
let swapping: NodeJS.Immediate | undefined;

/** Returns `done`, or the error of the system; nothing else tells whether an attempt succeeded. */
function attempt(work: () => unknown): string {
  try {
    work();
    return 'done';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

async function reach(path: string): Promise<string> {
  const socket = connect({ path });
  return new Promise((resolve) => {
    socket.once('connect', () => {
      resolve('done');
      socket.destroy();
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? error.message);
    });
  });
}

/** Sends bytes to a port of this machine and gives what comes back. */
async function send(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  let answer = '';
  return new Promise((resolve) => {
    socket.setEncoding('utf8').on('data', (piece: string) => (answer += piece));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      resolve(answer);
    });
    socket.end(text);
  });
}

/** Answers every caller as if all were well, and keeps what was sent. */
async function listen(place: string | number): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.setEncoding('utf8').on('data', (text: string) => {
      heard.push(text);
      socket.end('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"vms":[],"vaults":[]}');
    });
  });
  servers.push(server);
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? error.message);
    });
    server.once('listening', () => {
      const address = server.address();
      resolve(typeof address === 'object' ? String(address?.port) : 'done');
    });
    if (typeof place === 'number') {
      server.listen(place, '127.0.0.1');
    } else {
      server.listen(place);
    }
  });
}

/** Exchanges his folder and a link to `victim` under one name, as fast as he can. */
function swap(folder: string, victim: string): string {
  const aside = `${folder}.aside`;
  const round = (): void => {
    for (let turn = 0; turn < 50; turn += 1) {
      attempt(() => {
        fs.renameSync(folder, aside);
      });
      attempt(() => {
        fs.symlinkSync(victim, folder);
      });
      attempt(() => {
        fs.unlinkSync(folder);
      });
      attempt(() => {
        fs.renameSync(aside, folder);
      });
    }
    swapping = setImmediate(round);
  };
  round();
  return 'done';
}

const DEEDS: Record<string, (...values: never[]) => string | string[] | Promise<string>> = {
  read: (path: string) =>
    attempt(() => {
      fs.closeSync(fs.openSync(path, 'r'));
    }),
  write: (path: string) =>
    attempt(() => {
      fs.closeSync(fs.openSync(path, 'r+'));
    }),
  list: (path: string) => attempt(() => fs.readdirSync(path)),
  make: (path: string) =>
    attempt(() => {
      fs.closeSync(fs.openSync(path, 'wx'));
    }),
  mkdir: (path: string) =>
    attempt(() => {
      fs.mkdirSync(path, { mode: 0o700 });
    }),
  remove: (path: string) =>
    attempt(() => {
      fs.unlinkSync(path);
    }),
  rename: (path: string, to: string) =>
    attempt(() => {
      fs.renameSync(path, to);
    }),
  chmod: (path: string) =>
    attempt(() => {
      fs.chmodSync(path, 0o777);
    }),
  link: (path: string, to: string) =>
    attempt(() => {
      fs.linkSync(path, to);
    }),
  symlink: (path: string, to: string) =>
    attempt(() => {
      fs.symlinkSync(path, to);
    }),
  put: (path: string, text: string) =>
    attempt(() => {
      fs.writeFileSync(path, text);
    }),
  open: (path: string) =>
    attempt(() => {
      fs.chmodSync(path, 0o755);
    }),
  signal: (pid: number) => attempt(() => process.kill(pid, 'SIGTERM')),
  reach,
  send,
  listen,
  swap,
  heard: () => heard,
  rest: () => {
    clearImmediate(swapping);
    for (const server of servers.splice(0)) {
      server.close();
    }
    return 'done';
  },
};

process.on('message', ({ id, deed, values }: { id: number; deed: string; values: never[] }) => {
  void Promise.resolve(DEEDS[deed]?.(...values)).then((outcome) => {
    process.send?.({ id, outcome });
  });
});
process.on('disconnect', () => {
  process.exit(0);
});
process.send?.({ id: 0, outcome: 'ready' });
