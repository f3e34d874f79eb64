import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';

/** Nobody; not the user of the tools that read images, which is 65533. */
export const STRANGER = 65_534;
const PROGRAM = new URL('./stranger.main.ts', import.meta.url);

export type Deed =
  | 'read'
  | 'write'
  | 'list'
  | 'make'
  | 'mkdir'
  | 'remove'
  | 'rename'
  | 'chmod'
  | 'open'
  | 'link'
  | 'symlink'
  | 'put'
  | 'signal'
  | 'reach'
  | 'send'
  | 'listen'
  | 'swap'
  | 'rest';

/** Returns why this machine cannot have a stranger; undefined if it can. */
export async function whyNoStrangers(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) {
    return 'only root can be another user as well';
  }
  const users = await readFile('/etc/passwd', 'utf8');
  return /^postgres:/m.test(users)
    ? undefined
    : 'without a user postgres the database of root belongs to nobody, who is the stranger here';
}

/** Another user of this machine: a process without any of our rights. */
export class Stranger implements AsyncDisposable {
  private readonly child: ChildProcess;
  private readonly open = new Map<number, (outcome: unknown) => void>();
  private count = 0;

  private constructor(child: ChildProcess) {
    this.child = child;
    child.on('message', ({ id, outcome }: { id: number; outcome: unknown }) => {
      this.open.get(id)?.(outcome);
      this.open.delete(id);
    });
  }

  static async come(): Promise<Stranger> {
    const id = String(STRANGER);
    const text = await readFile(PROGRAM, 'utf8');
    const child = spawn(
      'setpriv',
      [
        ...['--reuid', id, '--regid', id, '--clear-groups', '--no-new-privs', '--inh-caps=-all'],
        ...['--', process.execPath, '--disable-warning=ExperimentalWarning'],
        ...['--input-type=module-typescript', '--eval', text],
      ],
      { cwd: '/', env: {}, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
    );
    const gone = once(child, 'exit').then(() => {
      throw new Error('The stranger could not come.');
    });
    await Promise.race([once(child, 'message'), gone]);
    gone.catch(() => undefined);
    return new Stranger(child);
  }

  /** Returns `done` if the stranger succeeded, else the error of the system. */
  async tries(deed: Deed, ...values: readonly (string | number)[]): Promise<string> {
    return (await this.ask(deed, values)) as string;
  }

  /** Returns what others sent to the places where the stranger listens. */
  async heard(): Promise<string[]> {
    return (await this.ask('heard', [])) as string[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.disconnect();
    await gone;
  }

  private async ask(deed: string, values: readonly (string | number)[]): Promise<unknown> {
    const id = (this.count += 1);
    const outcome = new Promise((resolve) => this.open.set(id, resolve));
    this.child.send({ id, deed, values });
    return outcome;
  }
}
